//! Who is connected, and who has to go when there is no room: whoever has not
//! shown the key keeps nobody out who has it.

use std::net::SocketAddr;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::server::Limits;

/// All connections, the oldest first. Dropped, they end.
#[derive(Debug, Default)]
pub struct Guests {
    tasks: JoinSet<()>,
    guests: Vec<Guest>,
}

#[derive(Debug)]
struct Guest {
    peer: SocketAddr,
    /// Cancelled once it has shown the key.
    known: CancellationToken,
    task: tokio::task::AbortHandle,
}

/// Whether another may come in.
#[derive(Debug, PartialEq, Eq)]
pub enum Room {
    /// There was room.
    Free,
    /// There is now: this one was sent away for it.
    InPlaceOf(SocketAddr),
    /// There is none.
    None,
}

impl Guests {
    /// Makes room for a connection from this address. A stranger has to go
    /// where there is none: the oldest one from the same address where that
    /// has its share, else the oldest of all.
    pub fn make_room(&mut self, peer: SocketAddr, limits: &Limits) -> Room {
        while self.tasks.try_join_next().is_some() {}
        self.guests.retain(|guest| !guest.task.is_finished());
        let is_stranger = |guest: &Guest| !guest.known.is_cancelled();
        let is_alike = |guest: &Guest| is_stranger(guest) && guest.peer.ip() == peer.ip();
        let alike = self.guests.iter().filter(|guest| is_alike(guest)).count();
        let leaves = if alike >= limits.strangers_per_peer {
            self.guests.iter().position(is_alike)
        } else if self.guests.len() >= limits.connections {
            match self.guests.iter().position(is_stranger) {
                Some(oldest) => Some(oldest),
                None => return Room::None,
            }
        } else {
            None
        };
        let Some(leaves) = leaves else {
            return Room::Free;
        };
        let guest = self.guests.remove(leaves);
        guest.task.abort();
        Room::InPlaceOf(guest.peer)
    }

    /// Lets a connection in.
    pub fn seat(
        &mut self,
        peer: SocketAddr,
        known: CancellationToken,
        life: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(life);
        self.guests.push(Guest { peer, known, task });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        negotiation: std::time::Duration::from_secs(10),
        idle: std::time::Duration::from_secs(10),
        silence: std::time::Duration::from_secs(1),
        connections: 4,
        strangers_per_peer: 2,
    };

    fn peer(host: u8, port: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, host], port))
    }

    fn seat(guests: &mut Guests, peer: SocketAddr) -> (Room, CancellationToken) {
        let room = guests.make_room(peer, &LIMITS);
        let known = CancellationToken::new();
        guests.seat(peer, known.clone(), std::future::pending());
        (room, known)
    }

    #[tokio::test]
    async fn strangers_give_way_and_whoever_has_the_key_stays() {
        let mut guests = Guests::default();
        let (_, publisher) = seat(&mut guests, peer(1, 1));
        publisher.cancel();
        for port in 2..=4 {
            assert_eq!(seat(&mut guests, peer(port as u8, port)).0, Room::Free);
        }
        let (room, _) = seat(&mut guests, peer(5, 5));
        assert_eq!(room, Room::InPlaceOf(peer(2, 2)), "the oldest stranger");
    }

    #[tokio::test]
    async fn one_address_has_its_share_only() {
        let mut guests = Guests::default();
        assert_eq!(seat(&mut guests, peer(9, 1)).0, Room::Free);
        assert_eq!(seat(&mut guests, peer(1, 1)).0, Room::Free);
        assert_eq!(seat(&mut guests, peer(1, 2)).0, Room::Free);
        let (room, _) = seat(&mut guests, peer(1, 3));
        assert_eq!(room, Room::InPlaceOf(peer(1, 1)), "not the other address");
    }

    #[tokio::test]
    async fn where_all_have_the_key_there_is_no_room() {
        let mut guests = Guests::default();
        for port in 1..=4 {
            seat(&mut guests, peer(1, port)).1.cancel();
        }
        assert_eq!(guests.make_room(peer(2, 1), &LIMITS), Room::None);
    }

    #[tokio::test]
    async fn whoever_has_left_leaves_room() {
        let mut guests = Guests::default();
        for port in 1..=4 {
            guests.seat(peer(1, port), CancellationToken::new(), async {});
        }
        while !guests.guests.iter().all(|guest| guest.task.is_finished()) {
            tokio::task::yield_now().await;
        }
        assert_eq!(guests.make_room(peer(1, 9), &LIMITS), Room::Free);
    }
}
