//! The order checker: what any observer of the store must find true at any
//! instant, whoever writes and whatever dies. For tests.
//!
//! [`Checked`] sits between the writers and a store and sees every write;
//! [`Watcher`] looks at a store from outside, again and again. Both keep the
//! same [`Rules`]: init before segment before media playlist before
//! multivariant; nothing named is missing, and none is deleted too soon; the
//! numbers of RFC 8216bis; and the fence. [`Faulty`] makes the store fail.

mod checked;
mod faulty;
mod manifest;
mod rules;
mod watcher;

pub use checked::Checked;
pub use faulty::{Fault, Faults, Faulty};
pub use manifest::{Manifest, MediaPlaylist, PlaylistSegment};
pub use rules::Rules;
pub use watcher::Watcher;
