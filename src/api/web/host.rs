//! A host's pages: meetings to play, download and read.
//!
//! With scripts the page is the bundle's and reads the REST API. Browsers without go on to the plain
//! page that is rendered here, and only then.

use super::{
    Content, Plain, answer, escape, failed,
    language::{ENGLISH, Language, Texts},
    page,
};
use crate::{
    api::{
        auth::{Caller, Who},
        body::{Path, Query},
        page::{self as pages, Page},
        problem::Problem,
        recording::file_name,
        state::Shared,
    },
    domain::{
        id::{MeetingId, UserId},
        recording::{RecordingKind, RecordingStatus},
        stream::MediaSource,
        wire_time::wire_time,
    },
    store::{
        meeting::{self, Filter, Meeting},
        recording_list::{self, ListedRecording},
        transcript, user,
    },
};
use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
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
        .route("/host", get(meetings))
        .route("/host/meetings/{id}", get(meeting_page))
}

#[derive(Clone, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainQuery {
    /// Without scripts.
    #[serde(default)]
    plain: bool,
    /// Of the plain list.
    cursor: Option<String>,
}

/// What makes a link lead to a plain page.
const PLAIN: &str = "plain=true";

async fn meetings(
    State(state): State<Shared>,
    Language(texts): Language,
    caller: Result<Caller, Problem>,
    query: Result<Query<PlainQuery>, Problem>,
) -> Response {
    let PlainQuery { plain, cursor } = query.map(|Query(query)| query).unwrap_or_default();
    let title = "Meetings";
    let shown = match host(caller) {
        Ok(caller) if plain || cursor.is_some() => list(&state, caller, cursor).await.map(Some),
        Ok(_) => Ok(None),
        Err(problem) => Err(problem),
    };
    show(&state, texts, title, ("/host", ""), shown)
}

async fn meeting_page(
    State(state): State<Shared>,
    Language(texts): Language,
    caller: Result<Caller, Problem>,
    id: Result<Path<Uuid>, Problem>,
    query: Result<Query<PlainQuery>, Problem>,
) -> Response {
    let plain = query.is_ok_and(|Query(query)| query.plain);
    let shown = match (host(caller), id) {
        (Ok(caller), Ok(Path(id))) => one(&state, caller, MeetingId(id), plain)
            .await
            .map(|plain| (id, plain)),
        (Err(problem), _) | (_, Err(problem)) => Err(problem),
    };
    let (id, shown) = match shown {
        Ok((id, plain)) => (id, Ok(plain)),
        Err(problem) => (Uuid::nil(), Err(problem)),
    };
    let (page, of) = (format!("/host/meetings/{id}"), format!(" meeting=\"{id}\""));
    show(&state, texts, "Meeting", (&page, &of), shown)
}

/// The page of the bundle, or what was made of it for browsers without scripts.
fn show(
    state: &Shared,
    texts: &Texts,
    title: &str,
    (path, more): (&str, &str),
    plain: Result<Option<String>, Problem>,
) -> Response {
    match plain {
        // The plain pages are in one language.
        Ok(Some(plain)) => answer(state, StatusCode::OK, &ENGLISH, title, &plain),
        Ok(None) => page(
            state,
            &Content {
                title,
                element: &element(state, more),
                plain: Plain::At(&format!("{}{path}?{PLAIN}", state.address.path())),
            },
        ),
        Err(problem) => failed(state, texts, &problem),
    }
}

/// The element that reads and shows the same.
fn element(state: &Shared, more: &str) -> String {
    format!(
        "<hansard-host root=\"{}\"{more}></hansard-host>",
        escape(state.address.path())
    )
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
    let after = cursor.as_deref().map(pages::open_by_time).transpose()?;
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
            "<li><a href=\"{}/host/meetings/{}?{PLAIN}\">{}</a> <span>{}</span></li>",
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
            "<p><a href=\"{}/host?{PLAIN}&amp;cursor={cursor}\">Earlier meetings</a></p>",
            state.address.path()
        );
    }
    Ok(body)
}

/// The plain page of one meeting, where that is asked for.
async fn one(
    state: &Shared,
    (caller, user): (Caller, UserId),
    id: MeetingId,
    plain: bool,
) -> Result<Option<String>, Problem> {
    let mut tx = state.store.tenant_tx(caller.tenant).await?;
    let of = meeting::of(&mut tx, caller.tenant, id)
        .await?
        .ok_or_else(|| Problem::not_found("meeting"))?;
    if !of.hosted_by(user) {
        return Err(Problem::forbidden("this is another host's meeting"));
    }
    if !plain {
        return Ok(None);
    }
    let recordings = recording_list::list(&mut tx, id, None, RECORDINGS_SHOWN).await?;
    let head = transcript::head(&mut tx, id).await?;
    let segments = transcript::segments(&mut tx, id).await?;

    let root = state.address.path();
    let mut body = format!(
        "<p><a href=\"{root}/host?{PLAIN}\">All meetings</a></p><h1>{}</h1>",
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
    Ok(Some(body))
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
