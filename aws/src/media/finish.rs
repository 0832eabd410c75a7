//! Ending a channel from outside.

use domain::ids::JobId;
use domain::timeline::{Claim, TIMELINE};

use super::Clock;
use super::channel::ChannelError;
use super::store::MediaStore;
use super::writer::{Writer, contested};

/// Ends a channel in the name of this attempt: the fence falls on all lower
/// ones, and every playlist is closed. To be repeated until it succeeds; on a
/// channel that has ended it changes nothing that players see.
///
/// # Errors
/// [`ChannelError`]; [`ChannelError::Fenced`] where a higher attempt has it.
pub async fn end_channel(
    store: MediaStore,
    job: &JobId,
    attempt: u64,
    clock: Clock<'_>,
) -> Result<(), ChannelError> {
    let taken = Writer::take(store, job, attempt, Claim::End, clock).await;
    match taken.map(drop) {
        // Somebody else is about to end it, for the same attempt: whether all
        // of it is ended then is not ours to say.
        Err(ChannelError::Fenced { holder }) if holder == attempt => {
            Err(ChannelError::Retry(contested(TIMELINE)))
        }
        taken => taken,
    }
}
