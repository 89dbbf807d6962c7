//! An S3 server on a directory, in this process: `s3s-fs` with what it lacks and we need: storage
//! classes, restore from the archive, and files that are on disk before they are acknowledged.
//!
//! A class stands in the object's metadata under a name that callers never see, so it is written
//! with it and needs no file of its own.

use anyhow::Context;
use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use s3s::{
    S3, S3Request, S3Response, S3Result, auth::SimpleAuth, dto::*, s3_error,
    service::S3ServiceBuilder,
};
use s3s_fs::FileSystem;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tower_http::cors::{Any, CorsLayer};

const CLASS: &str = "hansard-class";
const RESTORED: &str = "hansard-restored";
const ARCHIVE: &str = StorageClass::DEEP_ARCHIVE;
/// How long requests under way may go on after a stop.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Who may ask. Random, made at the first start, kept in the directory.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

/// The running server. Ends when stopped or dropped.
pub struct S3Server {
    pub credentials: Credentials,
    /// Where it really listens.
    pub address: SocketAddr,
    router: Router,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl S3Server {
    /// Serves what is in `directory`, which is made if there is none.
    pub async fn start(directory: &Path, listen: SocketAddr) -> anyhow::Result<Self> {
        let data = directory.join("data");
        fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
        let data = data.canonicalize()?;
        remove_unfinished(&data)?;
        let credentials = credentials(directory)?;
        let inner = FileSystem::new(&data)
            .map_err(|error| anyhow::anyhow!("{}: {error:?}", data.display()))?;
        let mut builder = S3ServiceBuilder::new(Classes { inner, data });
        builder.set_auth(SimpleAuth::from_single(
            credentials.access_key_id.clone(),
            credentials.secret_access_key.as_str(),
        ));
        let service = builder.build();
        let answer = move |request: Request| {
            let service = service.clone();
            async move {
                match service.oneshot(request).await {
                    Ok(response) => response.map(Body::new),
                    Err(_) => axum::http::StatusCode::INTERNAL_SERVER_ERROR.into_response(),
                }
            }
        };
        // A page may fetch what it has a link for: the link is the permission.
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_methods(Any)
            .allow_headers(Any)
            .expose_headers(Any);
        let router = Router::new().fallback(answer).layer(cors);
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen} for S3"))?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        // An object's head and body are two writes: with Nagle's algorithm the body waits 40 ms for
        // a delayed ACK.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let serve = axum::serve(listener, router.clone())
            .with_graceful_shutdown(stop.clone().cancelled_owned());
        tasks.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the S3 server ended");
            }
        });
        tasks.close();
        Ok(Self {
            credentials,
            address,
            router,
            stop,
            tasks,
        })
    }

    /// The same objects for readers that come by another address, with a link and without: a link
    /// is signed for this server's own address, so it is asked under that. Nothing can be written
    /// this way, and what else a request carries (cookies, keys of the server in front) is none of
    /// the storage's business.
    pub fn gateway(&self) -> Router {
        let router = self.router.clone();
        let host =
            HeaderValue::from_str(&self.address.to_string()).expect("an address is visible ASCII");
        Router::new()
            .fallback(move |request: Request| read_only(router.clone(), host.clone(), request))
    }

    /// The credentials of the server that another process runs on `directory`, if there ever was
    /// one.
    pub fn kept_credentials(directory: &Path) -> Option<Credentials> {
        serde_json::from_slice(&fs::read(directory.join("credentials.json")).ok()?).ok()
    }

    /// Takes nothing new and lets requests under way end.
    pub async fn stop(&self) {
        self.stop.cancel();
        // The others are cut off with the process.
        let _ = tokio::time::timeout(STOP_MAX, self.tasks.wait()).await;
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn credentials(directory: &Path) -> anyhow::Result<Credentials> {
    let path = directory.join("credentials.json");
    match fs::read(&path) {
        Ok(text) => {
            serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let random = || {
                let mut bytes = [0; 24];
                aws_lc_rs::rand::fill(&mut bytes)
                    .map_err(|_| io::Error::other("no random numbers"))?;
                io::Result::Ok(URL_SAFE_NO_PAD.encode(bytes).replace(['-', '_'], "x"))
            };
            let made = Credentials {
                access_key_id: format!("HS{}", &random()?[..18]),
                secret_access_key: random()?,
            };
            crate::secret_file::write(&path, &serde_json::to_vec(&made)?)?;
            Ok(made)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Uploads in parts that an earlier process began: nobody can go on with them.
fn remove_unfinished(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(".upload") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

struct Classes {
    inner: FileSystem,
    data: PathBuf,
}

impl Classes {
    /// On disk before it is acknowledged: rows will say that it is there.
    async fn sync(&self, bucket: &str, key: &str) -> S3Result<()> {
        // The inner server has checked that neither leads out of the directory.
        let path = self.data.join(bucket).join(key);
        let sync = async {
            tokio::fs::File::open(&path).await?.sync_all().await?;
            match path.parent() {
                Some(parent) => tokio::fs::File::open(parent).await?.sync_all().await,
                None => Ok(()),
            }
        };
        sync.await
            .map_err(|error: io::Error| s3_error!(error, InternalError))
    }

    /// The inner server forgets what it keeps beside an object.
    async fn forget(&self, bucket: &str, key: &str) {
        let [bucket, key] = [bucket, key].map(|name| URL_SAFE_NO_PAD.encode(name));
        for ending in ["metadata", "internal"] {
            let path = self
                .data
                .join(format!(".bucket-{bucket}.object-{key}.{ending}.json"));
            // There may be none.
            let _ = tokio::fs::remove_file(path).await;
        }
    }

    async fn metadata(&self, bucket: &str, key: &str) -> S3Result<HeadObjectOutput> {
        let input = HeadObjectInput {
            bucket: bucket.into(),
            key: key.into(),
            ..Default::default()
        };
        Ok(self.inner.head_object(request(input)).await?.output)
    }
}

/// What [`S3Server::gateway`] does with a request.
async fn read_only(router: Router, host: HeaderValue, mut request: Request) -> Response {
    if !matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return (
            StatusCode::METHOD_NOT_ALLOWED,
            [(header::ALLOW, "GET, HEAD")],
        )
            .into_response();
    }
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |asked| asked.as_str());
    if let Ok(plain) = path.parse::<Uri>() {
        *request.uri_mut() = plain;
    }
    let headers = request.headers_mut();
    headers.insert(header::HOST, host);
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::COOKIE);
    router.oneshot(request).await.into_response()
}

/// A request of our own to the inner server.
fn request<T>(input: T) -> S3Request<T> {
    S3Request {
        input,
        method: axum::http::Method::GET,
        uri: axum::http::Uri::default(),
        headers: axum::http::HeaderMap::new(),
        extensions: axum::http::Extensions::new(),
        credentials: None,
        region: None,
        service: None,
        trailing_headers: None,
    }
}

/// Moves the class from where it stands in the input to the metadata.
fn hide(class: &mut Option<StorageClass>, metadata: &mut Option<Metadata>) -> S3Result<()> {
    let known = ["STANDARD", "STANDARD_IA", "GLACIER_IR", ARCHIVE];
    let hidden = metadata.get_or_insert_default();
    hidden.remove(CLASS);
    hidden.remove(RESTORED);
    match class.take() {
        Some(class) if !known.contains(&class.as_str()) => {
            return Err(s3_error!(InvalidStorageClass));
        }
        Some(class) if class.as_str() != StorageClass::STANDARD => {
            hidden.insert(CLASS.to_owned(), class.as_str().to_owned());
        }
        _ => {}
    }
    Ok(())
}

/// And back: the class, and what is to be said of a restore.
fn shown(metadata: &mut Option<Metadata>) -> (Option<StorageClass>, Option<Restore>) {
    let Some(hidden) = metadata else {
        return (None, None);
    };
    let class = hidden.remove(CLASS).map(StorageClass::from);
    let restore = hidden
        .remove(RESTORED)
        .map(|_| "ongoing-request=\"false\"".to_owned());
    (class, restore)
}

fn unreadable(class: &Option<StorageClass>, restore: &Option<Restore>) -> bool {
    restore.is_none()
        && class
            .as_ref()
            .is_some_and(|class| class.as_str() == ARCHIVE)
}

#[async_trait]
impl S3 for Classes {
    async fn put_object(
        &self,
        mut req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        hide(&mut req.input.storage_class, &mut req.input.metadata)?;
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        let done = self.inner.put_object(req).await?;
        self.sync(&bucket, &key).await?;
        Ok(done)
    }

    async fn create_multipart_upload(
        &self,
        mut req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        hide(&mut req.input.storage_class, &mut req.input.metadata)?;
        self.inner.create_multipart_upload(req).await
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        let done = self.inner.complete_multipart_upload(req).await?;
        self.sync(&bucket, &key).await?;
        Ok(done)
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let mut answer = self.inner.head_object(req).await?;
        (answer.output.storage_class, answer.output.restore) = shown(&mut answer.output.metadata);
        Ok(answer)
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let mut answer = self.inner.get_object(req).await?;
        let (class, restore) = shown(&mut answer.output.metadata);
        if unreadable(&class, &restore) {
            return Err(s3_error!(InvalidObjectState));
        }
        (answer.output.storage_class, answer.output.restore) = (class, restore);
        Ok(answer)
    }

    async fn copy_object(
        &self,
        mut req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let CopySource::Bucket { bucket, key, .. } = &req.input.copy_source else {
            return Err(s3_error!(NotImplemented));
        };
        let mut source = self.metadata(bucket, key).await?;
        let (class, restore) = shown(&mut source.metadata);
        if unreadable(&class, &restore) {
            return Err(s3_error!(InvalidObjectState));
        }
        let input = &mut req.input;
        let replace = input
            .metadata_directive
            .as_ref()
            .is_some_and(|directive| directive.as_str() == "REPLACE");
        if !replace {
            input.metadata = source.metadata;
            input.content_type = source.content_type;
            input.content_encoding = source.content_encoding;
            input.content_disposition = source.content_disposition;
            input.content_language = source.content_language;
            input.cache_control = source.cache_control;
        }
        hide(&mut input.storage_class, &mut input.metadata)?;
        input.metadata_directive = Some(MetadataDirective::from_static(MetadataDirective::REPLACE));
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        let done = self.inner.copy_object(req).await?;
        self.sync(&bucket, &key).await?;
        Ok(done)
    }

    /// Done at once.
    async fn restore_object(
        &self,
        req: S3Request<RestoreObjectInput>,
    ) -> S3Result<S3Response<RestoreObjectOutput>> {
        let RestoreObjectInput { bucket, key, .. } = req.input;
        let object = self.metadata(&bucket, &key).await?;
        let mut metadata = object.metadata.unwrap_or_default();
        if metadata.get(CLASS).is_none_or(|class| class != ARCHIVE) {
            return Err(s3_error!(InvalidObjectState));
        }
        metadata.insert(RESTORED.to_owned(), "true".to_owned());
        let source = CopySource::Bucket {
            bucket: bucket.as_str().into(),
            key: key.as_str().into(),
            version_id: None,
        };
        let mut copy = CopyObjectInput::builder();
        copy.set_bucket(bucket).set_key(key).set_copy_source(source);
        copy.set_metadata(Some(metadata))
            .set_content_type(object.content_type);
        copy.set_metadata_directive(Some(MetadataDirective::from_static(
            MetadataDirective::REPLACE,
        )));
        let copy = copy
            .build()
            .map_err(|error| s3_error!(error, InternalError))?;
        self.inner.copy_object(request(copy)).await?;
        Ok(S3Response::new(RestoreObjectOutput::default()))
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (bucket, key) = (req.input.bucket.clone(), req.input.key.clone());
        let done = self.inner.delete_object(req).await?;
        self.forget(&bucket, &key).await;
        Ok(done)
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = req.input.bucket.clone();
        let done = self.inner.delete_objects(req).await?;
        for object in done.output.deleted.iter().flatten() {
            if let Some(key) = &object.key {
                self.forget(&bucket, key).await;
            }
        }
        Ok(done)
    }

    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.inner.create_bucket(req).await
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.inner.head_bucket(req).await
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.inner.list_objects_v2(req).await
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.inner.upload_part(req).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.inner.abort_multipart_upload(req).await
    }
}
