//! size
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
/// size
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkerSize {
    /// s
    Small,
    /// m
    Medium,
    /// l
    Large,
}

impl WorkerSize {
    /// s
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
    /// p
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Small, Self::Medium, Self::Large]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}
