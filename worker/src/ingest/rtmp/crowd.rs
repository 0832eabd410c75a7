//! The connections that are open, whatever their state, within a bound that
//! strangers can't use up for those who have the key.

use std::net::{IpAddr, SocketAddr};

use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

/// The open connections. Dropped, they are closed.
#[derive(Debug)]
pub struct Crowd {
    limit: usize,
    connections: JoinSet<()>,
    /// Those that may not have shown the key yet, the oldest first.
    strangers: Vec<Stranger>,
}

#[derive(Debug)]
struct Stranger {
    peer: SocketAddr,
    task: AbortHandle,
    known: CancellationToken,
}

/// Whom a newcomer meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is room.
    Free,
    /// There was none: this stranger was closed for it.
    InPlaceOf(SocketAddr),
    /// All who are there have shown the key.
    Full,
}

impl Crowd {
    /// Nobody yet, of so many at a time.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            connections: JoinSet::new(),
            strangers: Vec::new(),
        }
    }

    /// Makes room for one more. Where there is none, a stranger goes: the
    /// oldest of the address with the most of them, so that who opens
    /// connections and says nothing keeps out no one but themselves.
    pub async fn make_room(&mut self) -> Room {
        while self.connections.try_join_next().is_some() {}
        self.strangers
            .retain(|one| !one.known.is_cancelled() && !one.task.is_finished());
        if self.connections.len() < self.limit {
            return Room::Free;
        }
        let Some(index) = self.least_welcome() else {
            return Room::Full;
        };
        let stranger = self.strangers.remove(index);
        stranger.task.abort();
        // It, or another that was about to end anyway.
        self.connections.join_next().await;
        Room::InPlaceOf(stranger.peer)
    }

    /// Lets a connection in, to be served by what `serve` makes of the token
    /// that is to be cancelled once the key was shown.
    pub fn admit<S>(&mut self, peer: SocketAddr, serve: impl FnOnce(CancellationToken) -> S)
    where
        S: Future<Output = ()> + Send + 'static,
    {
        let known = CancellationToken::new();
        let serving = serve(known.clone()).in_current_span();
        let task = self.connections.spawn(serving);
        self.strangers.push(Stranger { peer, task, known });
    }

    fn least_welcome(&self) -> Option<usize> {
        let addresses: Vec<IpAddr> = self.strangers.iter().map(|one| one.peer.ip()).collect();
        let crowding = |index: &usize| {
            let same = |ip: &&IpAddr| **ip == addresses[*index];
            addresses.iter().filter(same).count()
        };
        // Of equals `max_by_key` takes the last: the oldest, backwards.
        (0..addresses.len()).rev().max_by_key(crowding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, host], port))
    }

    #[tokio::test]
    async fn the_oldest_of_those_who_crowd_goes_first() {
        let mut crowd = Crowd::new(3);
        for peer in [peer(1, 1), peer(2, 1), peer(2, 2)] {
            assert_eq!(crowd.make_room().await, Room::Free);
            crowd.admit(peer, |_| std::future::pending());
        }
        assert_eq!(crowd.make_room().await, Room::InPlaceOf(peer(2, 1)));
        crowd.admit(peer(3, 1), |_| std::future::pending());
        assert_eq!(crowd.make_room().await, Room::InPlaceOf(peer(1, 1)));
    }

    #[tokio::test]
    async fn whoever_has_shown_the_key_stays() {
        let mut crowd = Crowd::new(1);
        crowd.admit(peer(1, 1), |known| async move {
            known.cancel();
            std::future::pending().await
        });
        tokio::task::yield_now().await;
        assert_eq!(crowd.make_room().await, Room::Full);
    }

    #[tokio::test]
    async fn who_has_left_takes_no_room() {
        let mut crowd = Crowd::new(1);
        crowd.admit(peer(1, 1), |_| async {});
        tokio::task::yield_now().await;
        assert_eq!(crowd.make_room().await, Room::Free);
    }
}
