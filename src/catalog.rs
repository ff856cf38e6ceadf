//! All definitions of one source at one revision, parsed, typed and indexed.
//!
//! ```text
//! Input ──read──► documents ──overlays, selector──► Catalog { entries, sources } + findings
//!      (cached per file)                               │ references::resolve
//!                                                      ▼
//!                                           graph of references
//! ```
//!
//! A definition with errors is part of the catalog too, untyped, so that references to it are not reported as well.

mod assets;
mod attributed;
mod code;
mod definitions;
pub mod dependencies;
mod entry;
mod error_recovery;
pub mod graph;
mod index;
mod input;
mod load;
mod merge;
mod overlays;
mod ownership;
mod read;
pub mod references;
mod view;

pub use assets::{assets, assets_of};
pub use attributed::AttributedFinding;
pub use code::CodeFile;
pub use definitions::Catalog;
pub use entry::Entry;
pub use input::{
    API_FOLDER, EnvironmentSelection, File, Input, MAX_CODE_BYTES, Origin, Overlaid, PinnedDefinition, RawDocument,
    Snapshot,
};
pub use load::{CacheTally, ForeignFile, Loaded, LoadedCatalog, Loader, load};
pub use overlays::misplaced;
pub use ownership::{OVERLAYS, describe_foreign, foreign_documents, is_foreign, is_patch};
pub use view::CatalogView;
