//! The API: a client's wish is one read and one write, again where somebody
//! else wrote in between, so it comes at one moment; its message follows, or
//! is lost.

use domain::job::{Change, Desired};
use domain::message::Message;
use domain::protocol::{OnDeleteRequest, follow_up, on_delete_request};

use crate::io::{Answer, Call};
use crate::records::{JobNo, Letter, NOW};
use crate::scenario::{Scenario, Wish};
use crate::scheduler::TIMING;
use crate::store::WorkerChange;
use crate::world::World;

/// Carries out a wish; `None` where the client is refused, or nothing comes
/// of it.
pub fn ask(
    world: &mut World,
    scenario: &Scenario,
    no: JobNo,
    wish: Wish,
    heard: bool,
) -> Option<()> {
    let before = world.stores.jobs[usize::from(no)]?.job(no);
    let was_ended = before.state.is_ended();
    let (change, desired) = match wish {
        Wish::Stop => (Change::RequestStop, Desired::Stop),
        Wish::Pause => (Change::RequestPause, Desired::Pause),
        Wish::Resume => (Change::RequestResume, Desired::Run),
        Wish::Delete | Wish::DeleteMedia => {
            let media = wish == Wish::DeleteMedia;
            match on_delete_request(&before, true, media) {
                OnDeleteRequest::Mark(deletion) => {
                    (Change::RequestDelete { deletion }, Desired::Stop)
                }
                // Marked and removed: nobody can write it in between.
                OnDeleteRequest::Remove => {
                    world.stores.jobs[usize::from(no)] = None;
                    return Some(());
                }
                OnDeleteRequest::Refuse | OnDeleteRequest::Stands => return None,
            }
        }
    };
    let deletes = matches!(wish, Wish::Delete | Wish::DeleteMedia);
    if !deletes && before.already_wants(desired) {
        return None;
    }
    let transition = before.apply(change, NOW).ok()?;
    let after = transition.job.clone();
    let commit = Call::Commit(no, Box::new(transition), WorkerChange::None);
    if world.stores.call(scenario, &commit) != Answer::Done {
        return None;
    }
    if !heard {
        return Some(());
    }
    let follows = match deletes {
        true => !was_ended,
        false => was_ended || desired == Desired::Stop,
    };
    if follows && let Some((message, _)) = follow_up(&after, &TIMING) {
        world.send(scenario, letter(no, &message)?);
    }
    if deletes {
        world.send(scenario, Letter::Delete { job: no });
    }
    Some(())
}

fn letter(no: JobNo, message: &Message) -> Option<Letter> {
    match message {
        Message::Schedule { after_failures, .. } => Some(Letter::Schedule {
            job: no,
            after_failures: *after_failures,
            try_seq: None,
        }),
        Message::StopBy { attempt, .. } => Some(Letter::StopBy {
            job: no,
            attempt: *attempt,
        }),
        _ => None,
    }
}
