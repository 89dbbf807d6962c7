//! What clients reach: the addresses, and the files that links lead to.

use super::Finding;
use crate::{
    config::Settings,
    objects::{self, Disposition, Objects, Verb},
};
use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

const ANSWER_MAX: Duration = Duration::from_secs(10);

/// What the settings themselves give cause to say.
pub fn settings(settings: &Settings) -> Vec<Finding> {
    let what = "settings";
    let note = |note: &crate::config::Note| match note.harmless {
        true => Finding::ok(what, note.found.clone()),
        false => Finding::warn(what, note.found.clone(), note.mend.clone()),
    };
    settings.notes.iter().map(note).collect()
}

/// Where browsers fetch files, and whether scripts of pages may.
pub async fn links(
    settings: &Settings,
    bucket: &objects::StorageConfig,
    objects: &Objects,
    key: &str,
    content: &[u8],
) -> Vec<Finding> {
    let what = "links";
    // The S3 server brought along has no address for browsers of its own unless one is given:
    // `serve` serves its files.
    if settings.s3.is_none() && settings.s3_public_endpoint.is_none() {
        let base = format!("{}/files", public_url(settings));
        // On a port that the system chose nobody can ask.
        let is_known = settings.public_url.is_some() || settings.listen.port() != 0;
        let runs = is_known && is_locked(&settings.data);
        if !runs {
            return vec![Finding::ok(
                what,
                format!("`serve` serves the files itself, at {base}"),
            )];
        }
        let served = objects.clone().served_at(&base);
        return vec![
            fetch(&served, &base, key, content).await,
            cors(settings, &served, key).await,
        ];
    }
    let place = &bucket.public_endpoint;
    let mut found = fetch(objects, place, key, content).await;
    if found.state == super::State::Ok
        && is_local(place) == Some(true)
        && is_local(&public_url(settings)) != Some(true)
    {
        let only = format!(
            "{place}: only this machine reaches that, while clients come by {}",
            public_url(settings)
        );
        found = Finding::warn(
            what,
            only,
            "set S3_PUBLIC_ENDPOINT to the address at which browsers reach the storage",
        );
    }
    vec![found, cors(settings, objects, key).await]
}

/// Does what a browser would.
async fn fetch(objects: &Objects, place: &str, key: &str, content: &[u8]) -> Finding {
    let what = "links";
    let mend = "set S3_PUBLIC_ENDPOINT to the address at which browsers reach the storage, and let a proxy in between keep the Host header";
    let fetched = async {
        let link = link(objects, key).await?;
        let http = reqwest::Client::builder().timeout(ANSWER_MAX).build()?;
        let answer = http
            .get(link)
            .header("range", "bytes=0-6")
            .send()
            .await
            .map_err(reqwest::Error::without_url)?;
        let status = answer.status().as_u16();
        anyhow::Ok((status, answer.bytes().await?))
    };
    match fetched.await {
        Ok((206, part)) if part.as_ref() == &content[..7] => {
            Finding::ok(what, format!("fetched through {place}"))
        }
        Ok((200, all)) if all.as_ref() == content => Finding::warn(
            what,
            format!("{place} ignores Range"),
            "players cannot seek; let the proxy pass Range on",
        ),
        Ok((status, _)) => Finding::fail(
            what,
            format!("{place} answers {status} to a presigned link"),
            mend,
        ),
        Err(error) => Finding::fail(what, format!("{place}: {error:#}"), mend),
    }
}

async fn link(objects: &Objects, key: &str) -> anyhow::Result<String> {
    let valid = Duration::from_secs(60);
    Ok(objects
        .presign(
            Verb::Get,
            key,
            "doctor.txt",
            "text/plain",
            Disposition::Inline,
            valid,
        )
        .await?)
}

/// Whether the bucket lets scripts of the allowed pages read files. `<a>`, `<audio>` and `<video>`
/// need no leave.
async fn cors(settings: &Settings, objects: &Objects, key: &str) -> Finding {
    let what = "CORS of files";
    let anybody = "https://a-page.example.org".to_owned();
    let pages: Vec<&String> = match &settings.origins[..] {
        [] => vec![&anybody],
        origins if origins.iter().any(|origin| origin == "*") => vec![&anybody],
        origins => origins.iter().collect(),
    };
    let mut refused = Vec::new();
    for page in pages {
        let asked = async {
            let http = reqwest::Client::builder().timeout(ANSWER_MAX).build()?;
            let answer = http
                .get(link(objects, key).await?)
                .header("origin", page)
                .send()
                .await;
            anyhow::Ok(answer.map_err(reqwest::Error::without_url)?)
        };
        let allowed = asked.await.ok().and_then(|answer| {
            let allowed = answer
                .headers()
                .get("access-control-allow-origin")?
                .to_str()
                .ok()?
                .to_owned();
            (allowed == "*" || allowed == *page).then_some(allowed)
        });
        if allowed.is_none() {
            refused.push(page.as_str());
        }
    }
    let wanted = !settings.origins.is_empty();
    match (wanted, refused.is_empty()) {
        (true, true) => Finding::ok(
            what,
            "the storage lets scripts of the pages in origins fetch files",
        ),
        (false, true) => Finding::ok(
            what,
            "the storage lets scripts of any page fetch files whose link it has; no page is in origins",
        ),
        (false, false) => Finding::ok(
            what,
            "the bucket lets no script of other pages fetch files, and no such page is in origins; links, players and programs need no leave",
        ),
        (true, false) => Finding::warn(
            what,
            format!(
                "the bucket does not let scripts of {} fetch files",
                refused.join(", ")
            ),
            "add a CORS rule to the bucket: these origins, GET and HEAD, expose Content-Length, Content-Range, Accept-Ranges; \
             scripts ask …/content?redirect=false and fetch the URL, since after a redirect their Origin is null",
        ),
    }
}

pub async fn front(settings: &Settings) -> Vec<Finding> {
    let what = "addresses";
    let mut findings = Vec::new();
    let mut runs = is_locked(&settings.data);
    for (name, address, page) in [
        ("listen", settings.listen, "/v1/openapi.json"),
        ("ops-listen", settings.ops_listen, "/version"),
    ] {
        let Err(error) = TcpListener::bind(address) else {
            continue;
        };
        if runs || is_hansard(address, page).await {
            runs = true;
        } else {
            findings.push(Finding::fail(
                what,
                format!("{address}: {error}"),
                format!("choose another with --{name}"),
            ));
        }
    }
    let public = public_url(settings);
    let local = is_local(&public);
    if settings.public_url.is_none() && settings.listen.ip().is_unspecified() {
        findings.push(Finding::warn(
            what,
            format!(
                "links to meetings, sessions and files would begin with {public}, which leads nowhere from elsewhere"
            ),
            "set --public-url to the address at which clients reach this server",
        ));
    } else if public.starts_with("https://") || local == Some(true) {
        let found = format!("{public}{}", if runs { ", running" } else { "" });
        findings.push(Finding::ok(what, found));
    } else {
        findings.push(Finding::warn(
            what,
            format!("{public} is neither https nor local"),
            "browsers give no microphone to such a page: put TLS in front and set --public-url https://…",
        ));
    }
    findings
}

/// Whether a process of ours has this address: an `api` locks no folder.
async fn is_hansard(address: SocketAddr, page: &str) -> bool {
    let asked = async {
        let http = reqwest::Client::builder().timeout(ANSWER_MAX).build()?;
        http.get(format!("http://{address}{page}"))
            .send()
            .await?
            .text()
            .await
    };
    let marks = ["\"title\":\"Hansard\"", "\"name\":\"hansard\""];
    asked
        .await
        .is_ok_and(|text: String| marks.iter().any(|mark| text.contains(mark)))
}

fn public_url(settings: &Settings) -> String {
    settings
        .public_url
        .clone()
        .unwrap_or_else(|| format!("http://{}", settings.listen))
}

/// Whether an address leads to this machine only; `None` when it is none.
fn is_local(url: &str) -> Option<bool> {
    let url = reqwest::Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some(host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

/// Whether another process works in the data directory.
fn is_locked(data: &Path) -> bool {
    use rustix::fs::{FlockOperation, flock};
    let Ok(file) = std::fs::File::open(data.join("lock")) else {
        return false;
    };
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
}
