//! Who may call which operation, by the contract.

/// Credentials, by the names in which [`EXPECTED`] speaks of them.
pub const CREDENTIALS: [&str; 27] = [
    "nothing",
    "garbage",
    "key",
    "other tenant",
    "host",
    "other host",
    "expired session",
    "cookie",
    "cookie own origin",
    "cookie foreign origin",
    "join",
    "join as host",
    "join elsewhere",
    "expired join",
    "resume",
    "resume after leave",
    "consent",
    "consent elsewhere",
    "link",
    "link elsewhere",
    "whip",
    "whip elsewhere",
    "observe",
    "observe elsewhere",
    "play",
    "play elsewhere",
    "expired play",
];

/// Never anything: answered 401 wherever they are sent.
pub const WORTHLESS: [&str; 6] = [
    "nothing",
    "garbage",
    "expired session",
    "expired join",
    "resume after leave",
    "expired play",
];

/// Where no participant is ever let in, nobody looks up whether its token still stands.
pub const NEVER_PARTICIPANTS: [&str; 4] =
    ["/v1/meetings", "/v1/users", "/v1/glossary", "/v1/tenant"];

pub struct Operation {
    pub method: &'static str,
    pub path: &'static str,
    /// Who may, by the contract. All others are refused.
    pub may: &'static [&'static str],
    /// What another tenant's key is answered.
    pub other_tenant: u16,
}

pub const HOSTS: &[&str] = &["key", "host", "cookie own origin"];
pub const HOSTS_READ: &[&str] = &[
    "key",
    "host",
    "cookie",
    "cookie own origin",
    "cookie foreign origin",
];
pub const PLAYERS_READ: &[&str] = &[
    "key",
    "host",
    "cookie",
    "cookie own origin",
    "cookie foreign origin",
    "play",
];
/// Whoever reads of the meeting itself.
pub const ALL_READ: &[&str] = &[
    "key",
    "host",
    "cookie",
    "cookie own origin",
    "cookie foreign origin",
    "join",
    "join as host",
    "resume",
    "observe",
    "play",
];
pub const MEMBERS_READ: &[&str] = &[
    "key",
    "host",
    "cookie",
    "cookie own origin",
    "cookie foreign origin",
    "join",
    "join as host",
    "resume",
];

pub const EXPECTED: [Operation; 57] = [
    Operation {
        method: "POST",
        path: "/v1/meetings",
        may: HOSTS,
        other_tenant: 422,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings",
        may: &[
            "key",
            "host",
            "other host",
            "cookie",
            "cookie own origin",
            "cookie foreign origin",
        ],
        other_tenant: 200,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}",
        may: ALL_READ,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/invitation",
        may: &[
            "key",
            "host",
            "cookie",
            "cookie own origin",
            "cookie foreign origin",
            "join",
            "join as host",
            "resume",
            "link",
            "observe",
        ],
        other_tenant: 404,
    },
    Operation {
        method: "PATCH",
        path: "/v1/meetings/{id}",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/participants",
        may: ALL_READ,
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/users",
        may: &["key"],
        other_tenant: 201,
    },
    Operation {
        method: "POST",
        path: "/v1/users/{user}/sessions",
        may: &["key"],
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/users/{user}/profile",
        may: &[
            "key",
            "host",
            "cookie",
            "cookie own origin",
            "cookie foreign origin",
            "join as host",
        ],
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/users/{member}/profile",
        // The same person in another meeting.
        may: &["key", "join", "join elsewhere", "resume"],
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/join",
        may: &["key", "host", "cookie own origin", "link"],
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/participants/{participant}/whip-token",
        may: &["key", "host", "cookie own origin", "join", "resume"],
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/whip",
        may: &["whip"],
        other_tenant: 404,
    },
    Operation {
        method: "PATCH",
        path: "/v1/meetings/{id}/whip/{session}",
        may: &["whip"],
        other_tenant: 404,
    },
    Operation {
        method: "DELETE",
        path: "/v1/meetings/{id}/whip/{session}",
        may: &["whip"],
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/streams",
        may: &["key", "host", "cookie own origin", "join", "resume"],
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/streams",
        may: MEMBERS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "DELETE",
        path: "/v1/meetings/{id}/streams/{stream}",
        may: &["key", "host", "cookie own origin", "join", "resume"],
        other_tenant: 404,
    },
    Operation {
        method: "DELETE",
        path: "/v1/meetings/{id}/participants/{spare}",
        may: &["key", "host", "cookie own origin", "join as host"],
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/participants/{spare}/readmit",
        may: &["key", "host", "cookie own origin", "join as host"],
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/tokens",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/links",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "DELETE",
        path: "/v1/meetings/{id}/links/{link}",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/users/consent",
        may: &[
            "key",
            "host",
            "cookie own origin",
            "join",
            "join as host",
            "resume",
            "consent",
        ],
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/consents",
        may: &[
            "key",
            "host",
            "cookie",
            "cookie own origin",
            "cookie foreign origin",
            "join",
            "join as host",
            "resume",
            "consent",
        ],
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/recordings",
        may: PLAYERS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/recordings/{recording}",
        may: PLAYERS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/recordings/{recording}/content",
        may: PLAYERS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/recordings/{recording}/peaks",
        may: PLAYERS_READ,
        other_tenant: 404,
    },
    // From here on it is archived.
    Operation {
        method: "POST",
        path: "/v1/recordings/{recording}/restore",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/recordings/{busy}/retry",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/transcript",
        may: PLAYERS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/transcript.json",
        may: PLAYERS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/transcript.vtt",
        may: PLAYERS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "PATCH",
        path: "/v1/meetings/{id}/transcript/{segment}",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/transcript/replace",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/transcript/{segment}/revisions",
        may: HOSTS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/glossary",
        may: &["key"],
        other_tenant: 200,
    },
    Operation {
        method: "PUT",
        path: "/v1/glossary",
        may: &["key"],
        other_tenant: 200,
    },
    Operation {
        method: "PUT",
        path: "/v1/meetings/{id}/hold",
        may: &["key"],
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/hold",
        may: &["key"],
        other_tenant: 404,
    },
    Operation {
        method: "DELETE",
        path: "/v1/meetings/{id}/hold",
        may: &["key"],
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/tenant",
        may: &["key"],
        other_tenant: 200,
    },
    Operation {
        method: "PATCH",
        path: "/v1/tenant",
        may: &["key"],
        other_tenant: 200,
    },
    Operation {
        method: "GET",
        path: "/v1/users/{member}/data",
        may: &["key"],
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/users/{doomed}/erasure",
        may: &["key"],
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/users/{doomed}/erasure",
        may: &["key"],
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/redactions",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/redactions",
        may: HOSTS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "GET",
        path: "/v1/meetings/{id}/redactions/{redaction}",
        may: HOSTS_READ,
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/redactions/{redaction}/approve",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/redactions/{redaction}/decline",
        may: HOSTS,
        other_tenant: 404,
    },
    // It ends the meeting.
    Operation {
        method: "PUT",
        path: "/v1/meetings/{id}/end",
        may: &["key", "host", "cookie own origin", "join as host"],
        other_tenant: 404,
    },
    // What is live is not deleted; what was deleted is made again.
    Operation {
        method: "DELETE",
        path: "/v1/recordings/{recording}",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "POST",
        path: "/v1/meetings/{id}/mix",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "DELETE",
        path: "/v1/meetings/{id}/transcript",
        may: HOSTS,
        other_tenant: 404,
    },
    Operation {
        method: "DELETE",
        path: "/v1/meetings/{id}",
        may: HOSTS,
        other_tenant: 404,
    },
];
