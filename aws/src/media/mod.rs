//! Object storage behind the domain's words: where segments and playlists go.
//!
//! [`MediaStore`] is a place in S3 or a folder. [`Channel`] is the fenced
//! writer of one job in it: a lower attempt never writes after a higher one
//! has claimed the channel, and no playlist ever names what a player can't
//! fetch.

mod channel;
mod claim;
mod delete;
mod file;
mod finish;
mod store;
mod stores;
mod writer;

#[cfg(any(test, feature = "test-util"))]
pub mod check;

#[cfg(test)]
mod tests;

pub use channel::{BeginError, Channel, ChannelError, Init, SegmentTrack};
pub use delete::{delete_media, purge_deleted, remove_tombstones};
pub use file::FileStore;
pub use finish::end_channel;
pub use store::headers_of;
pub use store::{MediaStore, OpenError, ProbeError};
/// Where the time comes from: `&jiff::Timestamp::now`, or a test's own.
pub type Clock<'a> = &'a (dyn Fn() -> jiff::Timestamp + Send + Sync);

pub use stores::MediaStores;
