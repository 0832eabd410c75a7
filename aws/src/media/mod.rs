//! media (temp)
use domain::ids::JobId;
use domain::spec::Spec;
/// x
#[derive(Debug, Clone)]
pub struct MediaStore;
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct MediaError;
/// x
#[derive(Debug, Clone)]
pub struct MediaStores {
    default: MediaStore,
}
impl MediaStores {
    /// x
    pub fn open(_: &str, _: &[String]) -> Result<Self, MediaError> {
        Ok(Self {
            default: MediaStore,
        })
    }
    /// x
    pub fn of(&self, _: &Spec) -> &MediaStore {
        &self.default
    }
}
/// x
pub async fn end_channel(_: &MediaStore, _: &JobId, _: u64) -> Result<(), MediaError> {
    Ok(())
}
/// x
pub async fn delete_media(_: &MediaStore, _: &JobId) -> Result<(), MediaError> {
    Ok(())
}
