//! Why the server closes a socket: the WebSocket close codes of the contract.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "u16", from = "u16")]
pub enum Close {
    Left,
    /// A message has more than 64 KiB.
    TooLarge,
    /// The server restarts: come again.
    Draining,
    /// As [`Close::Draining`], of a server that has no room.
    Full,
    /// As [`Close::Draining`]: with a hole in its events a client must not go on.
    Unread,
    Ended,
    /// No `join_room` in time.
    NoJoin,
    NotAllowed,
    TooSlow,
    Replaced,
    TooManyMessages,
    /// Told by a process of another version.
    Other(u16),
}

impl Close {
    pub const ALL: [Self; 11] = [
        Self::Left,
        Self::TooLarge,
        Self::Draining,
        Self::Full,
        Self::Unread,
        Self::Ended,
        Self::NoJoin,
        Self::NotAllowed,
        Self::TooSlow,
        Self::Replaced,
        Self::TooManyMessages,
    ];

    pub const fn code(self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::TooLarge => 1009,
            Self::Draining | Self::Full | Self::Unread => 1012,
            Self::Ended => 4000,
            Self::NoJoin => 4001,
            Self::NotAllowed => 4003,
            Self::TooSlow => 4008,
            Self::Replaced => 4010,
            Self::TooManyMessages => 4029,
            Self::Other(code) => code,
        }
    }

    /// For a person who reads the close frame.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::TooLarge => "a message has more than 64 KiB",
            Self::Draining => "the server restarts",
            Self::Full => "too many sockets are open here",
            Self::Unread => "events could not be read",
            Self::Ended => "the meeting ended",
            Self::NoJoin => "no join_room in time",
            Self::NotAllowed => "not allowed",
            Self::TooSlow => "too slow",
            Self::Replaced => "replaced by a newer socket",
            Self::TooManyMessages => "too many messages",
            Self::Other(_) => "closed by the server",
        }
    }
}

impl From<Close> for u16 {
    fn from(close: Close) -> Self {
        close.code()
    }
}

impl From<u16> for Close {
    /// The first with this code.
    fn from(code: u16) -> Self {
        Self::ALL
            .into_iter()
            .find(|close| close.code() == code)
            .unwrap_or(Self::Other(code))
    }
}

/// Whose sockets are closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    Participants,
    Everybody,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_stands_for_itself_between_processes() {
        for close in Close::ALL {
            let json = serde_json::to_string(&close).expect("a number");
            assert_eq!(json, close.code().to_string());
            let back: Close = serde_json::from_str(&json).expect("a number");
            assert_eq!(back.code(), close.code());
        }
        assert_eq!(Close::from(1012), Close::Draining);
        assert_eq!(Close::from(4999), Close::Other(4999));
    }
}
