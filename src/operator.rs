//! Evenkeel on Kubernetes: Environments and definitions as custom resources, reconciled by the same engine as everywhere.

pub mod resources;
