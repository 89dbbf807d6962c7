//! What bounds a crowd: descriptors, and whether limits by address see the clients' own.

use super::Finding;
use crate::{
    config::Settings,
    descriptor,
    store::{Result, Store, pooler::Pooler},
};

/// A process raises its own limit to this.
pub fn descriptors() -> Finding {
    let what = "open files";
    let possible = descriptor::possible();
    let found = format!("{possible} at most, half of them for connections");
    if possible < descriptor::FEW {
        return Finding::warn(
            what,
            found,
            "raise the hard limit: `ulimit -Hn`, LimitNOFILE= of a unit, --ulimit of a container",
        );
    }
    Finding::ok(what, found)
}

/// Behind a proxy that is not named, everybody has the proxy's address, and one limit.
pub fn proxy(settings: &Settings) -> Finding {
    let what = "proxy";
    if !settings.trusted_proxies.is_empty() {
        return Finding::ok(
            what,
            format!(
                "X-Forwarded-For of {} counts",
                settings.trusted_proxies.join(", ")
            ),
        );
    }
    let Some(url) = settings
        .public_url
        .as_deref()
        .and_then(|url| reqwest::Url::parse(url).ok())
    else {
        return Finding::ok(what, "none is named, and without a public URL none is seen");
    };
    // We speak no TLS, and on no other port than ours.
    let is_in_front =
        url.scheme() == "https" || url.port_or_known_default() != Some(settings.listen.port());
    match is_in_front {
        false => Finding::ok(what, "none is named, and none is seen"),
        true => Finding::warn(
            what,
            format!(
                "{url} is not where this server listens ({}), so a proxy is in front that is not named",
                settings.listen
            ),
            "name it, --trusted-proxies NET,…: else all clients share the limits of its one address",
        ),
    }
}

/// What the database is reached through.
pub async fn pooler(url: &str) -> Result<Finding> {
    let what = "pooler";
    let store = Store::connect(url, 1).await?;
    let found = store.pooler();
    store.close().await;
    Ok(match found {
        Pooler::None => Finding::ok(what, "none, or one by the session"),
        Pooler::Prepares => Finding::ok(what, "by the transaction, with prepared statements"),
        Pooler::Plain => Finding::warn(
            what,
            "by the transaction, without prepared statements: slower, and refused by migrate, key, tenant and serve",
            "pgbouncer 1.21 or later with max_prepared_statements",
        ),
    })
}
