//! Retrieval of further pages of a `List` action.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The retrieval of further pages. Set exactly one of `cursor`, `offset`, `page`, `link`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    {"required": ["cursor"]}, {"required": ["offset"]}, {"required": ["page"]}, {"required": ["link"]}
]))]
pub struct Pagination {
    /// Records of a page: a template that renders to a list, such as `{{ output.items }}`.
    #[schemars(extend("x-evenkeel-template" = "pollOutput"))]
    pub records: String,
    /// Pages that are requested by a cursor in the previous response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CursorPages>,
    /// Pages that are requested by the number of preceding records.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"input": "offset", "limitInput": "limit", "limit": 100, "start": 0}]))]
    pub offset: Option<OffsetPages>,
    /// Pages that are requested by page number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"input": "page", "limit": 50, "start": 1}]))]
    pub page: Option<OffsetPages>,
    /// Pages that are requested by the `Link` header of the previous response (RFC 8288).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("examples" = [{"rel": "next"}]))]
    pub link: Option<LinkPages>,
    /// Maximum number of pages per call. Default: `100`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_pages: Option<u32>,
}

/// Pages that are requested by a cursor in the previous response.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CursorPages {
    /// Name of the input field that takes the cursor.
    pub input: String,
    /// Cursor of the next page: a template. An empty result marks the last page.
    #[schemars(extend("x-evenkeel-template" = "pollOutput"))]
    pub next: String,
}

/// Pages that are requested by a number.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OffsetPages {
    /// Name of the input field that takes the offset or page number.
    pub input: String,
    /// Name of the input field that takes the page size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_input: Option<String>,
    /// Number of records per page.
    #[schemars(range(min = 1, max = 10_000))]
    pub limit: u32,
    /// Offset or number of the first page. Default: `0`.
    #[serde(default)]
    pub start: u32,
}

/// Pages that are requested by the `Link` header.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LinkPages {
    /// Relation type of the next page. Default: `next`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rel: Option<String>,
}
