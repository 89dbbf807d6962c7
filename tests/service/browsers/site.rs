//! A web site of somebody else, with pages of `docs/` in it.

use crate::support::server::Server;
use axum::{
    Router,
    http::{StatusCode, Uri},
    response::{Html, IntoResponse, Response},
};
use std::{
    collections::HashMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The server's address in pages of `docs/`.
const EXAMPLE: &str = "https://hansard.example.org";

/// It ends when dropped.
pub struct Site {
    port: u16,
    pages: Arc<Mutex<HashMap<String, String>>>,
    _ends: DropGuard,
}

impl Site {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let pages = Arc::<Mutex<HashMap<String, String>>>::default();
        let shown = pages.clone();
        let show = async move |uri: Uri| -> Response {
            match shown.lock().expect("no holder panics").get(uri.path()) {
                Some(page) => Html(page.clone()).into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            }
        };
        let ended = CancellationToken::new();
        let _ends = ended.clone().drop_guard();
        tokio::spawn(async move {
            let serving = axum::serve(listener, Router::new().fallback(show));
            ended.run_until_cancelled(serving.into_future()).await
        });
        Self { port, pages, _ends }
    }

    /// Another site than that of a server at 127.0.0.1, not only another port of it.
    pub fn origin(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// The same pages by an address that no server was told of.
    pub fn unknown_origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Shows a page of `docs/` with what its author is to fill in.
    pub fn show(&self, name: &str, server: &Server, filled: &[(&str, &str)]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name);
        let mut page = fs::read_to_string(path).expect("it is there");
        for (placeholder, value) in [(EXAMPLE, server.url())].iter().chain(filled) {
            assert!(page.contains(placeholder), "{placeholder} in {page}");
            page = page.replace(placeholder, value);
        }
        let mut pages = self.pages.lock().expect("no holder panics");
        pages.insert(format!("/{name}"), page);
    }
}
