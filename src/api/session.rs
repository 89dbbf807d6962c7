//! A host's pages: a session's one-time `url` sets a cookie and shows a plain list of meetings to
//! play, download and read. And the page that a guest's link leads to.
//!
//! Rendered here, without scripts; the policy in [`answer`] lets a browser load nothing but our own
//! addresses and the files of the object storage.

use super::{
    auth::{Caller, Who},
    body::{Path, Query},
    page::Page,
    problem::Problem,
    recording::file_name,
    secret::Secret,
    state::Shared,
    token::COOKIE,
};
use crate::{
    domain::{
        id::{MeetingId, UserId},
        recording::{RecordingKind, RecordingStatus},
        stream::MediaSource,
        wire_time::wire_time,
    },
    store::{
        self,
        meeting::{self, Filter, Meeting},
        recording_list::{self, ListedRecording},
        transcript, user,
    },
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::fmt::Write;
use uuid::Uuid;

/// Meetings on one page.
const MEETINGS_SHOWN: i64 = 50;
/// Recordings of one meeting.
const RECORDINGS_SHOWN: i64 = 200;

pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/m/{id}", get(guest))
        .route("/s/{code}", get(offer).post(open))
        .route("/host", get(meetings))
        .route("/host/meetings/{id}", get(meeting_page))
}

/// What a guest's link leads to. The link's secret is in its fragment, which no browser sends: this
/// page is the same for every link, and asks nothing of the database.
async fn guest(State(state): State<Shared>, id: Result<Path<Uuid>, Problem>) -> Response {
    match id {
        Ok(_) => answer(&state, StatusCode::OK, "Invitation", INVITATION),
        Err(problem) => failed(&state, &problem),
    }
}

const INVITATION: &str = "<h1>You are invited to a meeting</h1>\
<p>This link is a key to one meeting. Open it in the application that you meet in, or paste it there; this server has no \
room of its own to show you.</p>\
<p>Whoever has the link can join under a name of their choice, so pass it on only to those who are invited. Nothing is \
recorded of you unless you agree.</p>\
<p>For applications: the part behind <code>#</code> is the bearer credential for <code>POST /v1/meetings/{id}/join</code> \
with <code>displayName</code>.</p>";

/// Shows the button that uses a code up. Reading changes nothing: mail scanners, link previews and
/// browsers that load ahead read links before a person does.
async fn offer(State(state): State<Shared>, Path(code): Path<String>) -> Response {
    match waits(&state, &code).await {
        Ok(true) => {
            let body = "<h1>Your meetings</h1><p>This link opens them in this browser, once.</p>\
                        <form method=\"post\"><button autofocus>Open my meetings</button></form>";
            answer(&state, StatusCode::OK, "Your meetings", body)
        }
        Ok(false) => used(&state),
        Err(problem) => failed(&state, &problem),
    }
}

async fn waits(state: &Shared, code: &str) -> Result<bool, Problem> {
    let Some(secret) = Secret::parse(Secret::CODE, code) else {
        return Ok(false);
    };
    let hash = secret.hash();
    let mut tx = state.store.secret_tx(&hash).await?;
    Ok(user::code_waits(&mut tx, &hash).await?)
}

fn used(state: &Shared) -> Response {
    let text =
        "<h1>This link was used or has expired</h1><p>Ask your application for a new one.</p>";
    answer(state, StatusCode::GONE, "Link used", text)
}

/// Uses a one-time code up and sets the cookie.
async fn open(
    State(state): State<Shared>,
    Path(code): Path<String>,
    headers: HeaderMap,
) -> Response {
    // Another site's page may not sign a browser in as somebody else.
    if headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site")
    {
        return failed(&state, &Problem::forbidden("the button is on our own page"));
    }
    match take(&state, &code).await {
        Ok(Some(cookie)) => {
            let to = format!("{}/host", state.address.path());
            let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response();
            let headers = response.headers_mut();
            headers.insert(header::SET_COOKIE, cookie);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            headers.insert(
                header::REFERRER_POLICY,
                HeaderValue::from_static("no-referrer"),
            );
            response
        }
        Ok(None) => used(&state),
        Err(problem) => failed(&state, &problem),
    }
}

async fn take(state: &Shared, code: &str) -> Result<Option<HeaderValue>, Problem> {
    let Some(secret) = Secret::parse(Secret::CODE, code) else {
        return Ok(None);
    };
    let hash = secret.hash();
    let mut tx = state.store.secret_tx(&hash).await?;
    let Some(tenant) = user::code_tenant(&mut tx, &hash).await? else {
        return Ok(None);
    };
    store::enter(&mut tx, tenant).await?;
    let Some((user, until)) = user::take_code(&mut tx, &hash).await? else {
        return Ok(None);
    };
    tx.commit().await?;
    let now = state.clock.now();
    let left_s = (until - now).num_seconds();
    if left_s < 1 {
        return Ok(None);
    }
    let minted = state.keys.mint_session(tenant, user, left_s, now);
    let secure = if state.address.is_https() {
        "; Secure"
    } else {
        ""
    };
    let path = match state.address.path() {
        "" => "/",
        path => path,
    };
    let cookie = format!(
        "{COOKIE}={}; Path={path}; Max-Age={left_s}; HttpOnly; SameSite=Lax{secure}",
        minted.token
    );
    Ok(Some(
        HeaderValue::from_str(&cookie).map_err(Problem::internal)?,
    ))
}

#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    cursor: Option<String>,
}

async fn meetings(
    State(state): State<Shared>,
    caller: Result<Caller, Problem>,
    query: Result<Query<ListQuery>, Problem>,
) -> Response {
    let cursor = query.map(|Query(query)| query.cursor).unwrap_or_default();
    let listed = match host(caller) {
        Ok(caller) => list(&state, caller, cursor).await,
        Err(problem) => Err(problem),
    };
    match listed {
        Ok(body) => answer(&state, StatusCode::OK, "Meetings", &body),
        Err(problem) => failed(&state, &problem),
    }
}

async fn meeting_page(
    State(state): State<Shared>,
    caller: Result<Caller, Problem>,
    id: Result<Path<Uuid>, Problem>,
) -> Response {
    let shown = match (host(caller), id) {
        (Ok(caller), Ok(Path(id))) => one(&state, caller, MeetingId(id)).await,
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    };
    match shown {
        Ok(body) => answer(&state, StatusCode::OK, "Meeting", &body),
        Err(problem) => failed(&state, &problem),
    }
}

/// The pages are for sessions only.
fn host(caller: Result<Caller, Problem>) -> Result<(Caller, UserId), Problem> {
    let caller = caller?;
    match caller.who {
        Who::Host(user) => Ok((caller, user)),
        _ => Err(Problem::forbidden("these pages are for a host's session")),
    }
}

async fn list(
    state: &Shared,
    (caller, user): (Caller, UserId),
    cursor: Option<String>,
) -> Result<String, Problem> {
    let after = cursor
        .as_deref()
        .map(super::page::open_by_time)
        .transpose()?;
    let filter = Filter {
        host: Some(user),
        after,
        limit: MEETINGS_SHOWN + 1,
        ..Filter::default()
    };
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let name = user::of(&mut tx, caller.tenant, user)
        .await?
        .map(|user| user.display_name)
        .unwrap_or_default();
    let rows = meeting::list(&mut tx, caller.tenant, &filter).await?;
    let mut body = format!("<h1>Meetings of {}</h1>", escape(&name));
    let place = |row: &Meeting| (row.list_time.timestamp_micros(), row.id);
    let page: Page<Meeting> = Page::of(rows, MEETINGS_SHOWN + 1, place, |row| row);
    if page.data.is_empty() {
        body.push_str("<p>There are none yet.</p>");
    }
    body.push_str("<ul>");
    for row in &page.data {
        let _ = write!(
            body,
            "<li><a href=\"{}/host/meetings/{}\">{}</a> <span>{}</span></li>",
            state.address.path(),
            row.id,
            readable(row.list_time),
            row.status
        );
    }
    body.push_str("</ul>");
    if let Some(cursor) = page.next_cursor {
        let _ = write!(
            body,
            "<p><a href=\"{}/host?cursor={cursor}\">Earlier meetings</a></p>",
            state.address.path()
        );
    }
    Ok(body)
}

async fn one(
    state: &Shared,
    (caller, user): (Caller, UserId),
    id: MeetingId,
) -> Result<String, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let of = meeting::of(&mut tx, caller.tenant, id)
        .await?
        .ok_or_else(|| Problem::not_found("meeting"))?;
    if !of.hosted_by(user) {
        return Err(Problem::forbidden("this is another host's meeting"));
    }
    let recordings = recording_list::list(&mut tx, id, None, RECORDINGS_SHOWN).await?;
    let head = transcript::head(&mut tx, id).await?;
    let segments = transcript::segments(&mut tx, id).await?;

    let root = state.address.path();
    let mut body = format!(
        "<p><a href=\"{root}/host\">All meetings</a></p><h1>{}</h1>",
        readable(of.list_time)
    );
    let _ = write!(body, "<p>{}</p>", of.status);
    let language = head
        .language
        .as_deref()
        .or(of.settings.language.as_deref())
        .unwrap_or("und");
    body.push_str("<h2>Recordings</h2>");
    if recordings.is_empty() {
        body.push_str("<p>There are none.</p>");
    }
    // The mix is what most came for.
    let (mixes, tracks): (Vec<_>, Vec<_>) = recordings
        .iter()
        .partition(|recording| recording.kind == RecordingKind::Mix);
    for recording in mixes.into_iter().chain(tracks) {
        let is_readable = !recording.is_archived(state.objects.classes());
        show_recording(&mut body, root, &of, (recording, is_readable), language);
    }
    body.push_str("<h2>Transcript</h2>");
    let base = format!("{root}/v1/meetings/{}/transcript", of.id);
    let _ = write!(
        body,
        "<p>{}<a href=\"{base}.txt\">Text</a> · <a href=\"{base}.vtt\">WebVTT</a> · <a href=\"{base}.srt\">SRT</a> · \
         <a href=\"{base}.json\">JSON</a></p>",
        if head.complete {
            ""
        } else {
            "Not complete yet. "
        }
    );
    for segment in segments {
        let seconds = segment.start_ms.div_euclid(1000);
        let _ = write!(
            body,
            "<p><span>{:02}:{:02}:{:02} {}</span><br>{}</p>",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60,
            escape(&segment.display_name),
            escape(&segment.text)
        );
    }
    Ok(body)
}

fn show_recording(
    body: &mut String,
    root: &str,
    meeting: &Meeting,
    (recording, is_readable): (&ListedRecording, bool),
    language: &str,
) {
    let what = match (&recording.display_name, recording.kind) {
        (Some(name), kind @ RecordingKind::Track) => format!(
            "{} ({})",
            name,
            recording.source.map_or(kind.as_str(), MediaSource::as_str)
        ),
        _ => "Everybody".to_owned(),
    };
    let length = recording
        .duration_seconds
        .map_or(String::new(), |s| format!(" · {}:{:02}", s / 60, s % 60));
    let _ = write!(
        body,
        "<h3>{}</h3><p>{}{length}</p>",
        escape(&what),
        recording.status
    );
    if recording.status != RecordingStatus::Ready || !is_readable {
        return;
    }
    let content = format!("{root}/v1/recordings/{}/content", recording.id);
    if recording.kind == RecordingKind::Mix {
        // A video element shows captions also over sound alone.
        let _ = write!(
            body,
            "<video controls preload=\"metadata\" src=\"{content}\"><track kind=\"captions\" default \
             srclang=\"{}\" label=\"Captions\" src=\"{root}/v1/meetings/{}/transcript.vtt\"></video>",
            escape(language),
            meeting.id
        );
    } else {
        let _ = write!(
            body,
            "<audio controls preload=\"none\" src=\"{content}\"></audio>"
        );
    }
    let _ = write!(
        body,
        "<p><a href=\"{content}?download=true\">Download {}</a> {}</p>",
        escape(&file_name(recording)),
        recording.size_bytes.map_or(String::new(), |bytes| format!(
            "({} KiB)",
            bytes.div_euclid(1024) + 1
        ))
    );
}

/// What a person reads; a machine reads the REST API.
fn readable(time: DateTime<Utc>) -> String {
    format!(
        "<time datetime=\"{}\">{} UTC</time>",
        wire_time(time),
        time.format("%Y-%m-%d %H:%M")
    )
}

fn failed(state: &Shared, problem: &Problem) -> Response {
    let (title, text) = match problem.status() {
        StatusCode::UNAUTHORIZED => (
            "Not signed in",
            "Your session has ended. Open a new link from your application.",
        ),
        StatusCode::FORBIDDEN => ("Not yours", "This is not one of your meetings."),
        StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => ("Not found", "There is no such page."),
        StatusCode::SERVICE_UNAVAILABLE => ("Not possible now", "Try again in a moment."),
        _ => ("Something went wrong", "It was written to the log."),
    };
    // A page has no parameters that a person could get wrong.
    let status = if problem.status() == StatusCode::BAD_REQUEST {
        StatusCode::NOT_FOUND
    } else {
        problem.status()
    };
    answer(
        state,
        status,
        title,
        &format!("<h1>{title}</h1><p>{text}</p>"),
    )
}

/// A page. Its policy: no script at all, our own style, media from here and from the object
/// storage.
fn answer(state: &Shared, status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title} · Hansard</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><main>{body}</main>\
         </body></html>"
    );
    let policy = format!(
        "default-src 'none'; style-src '{STYLE_HASH}'; media-src 'self' {}; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'",
        state.media_origin
    );
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem;color:#1a1a1a;background:#fff}\
main{max-width:46rem;margin:auto}span{color:#555}video,audio{width:100%}video{max-height:24rem;background:#111}\
a{color:#0b57d0}@media(prefers-color-scheme:dark){body{background:#161616;color:#eee}span{color:#aaa}a{color:#8ab4f8}}";

/// Base64 of the style's SHA-256; a test holds it to [`STYLE`].
const STYLE_HASH: &str = "sha256-F6McEAT4Jzr6lH2eKoeOfqsQRnzq4suAcaTwa1SJCnU=";

/// Text as HTML, also within quotes.
fn escape(text: &str) -> String {
    text.chars()
        .fold(String::with_capacity(text.len()), |mut html, c| {
            match c {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                c => html.push(c),
            }
            html
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};

    #[test]
    fn the_policy_names_the_style() {
        assert_eq!(
            STYLE_HASH,
            format!("sha256-{}", STANDARD.encode(Sha256::digest(STYLE)))
        );
    }

    #[test]
    fn a_name_stays_text() {
        assert_eq!(escape("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
    }
}
