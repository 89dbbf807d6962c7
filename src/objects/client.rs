//! The S3 client: how long it waits, how often it tries, and what its errors mean.

use super::{ObjectError, StorageConfig};
use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;

const CONNECT_MAX: Duration = Duration::from_secs(3);
/// One attempt at one request without much of a body. A server that swallows requests is noticed
/// after this, and a healed one is used again within it.
const ATTEMPT_MAX: Duration = Duration::from_secs(15);
/// What a body may take in addition: a link of 1 MB/s is just enough.
const BYTES_PER_SECOND_MIN: u64 = 1_000_000;
const ATTEMPTS: u32 = 4;
/// Attempts that fit into one call, if each takes its longest.
const CALL_ATTEMPTS: u32 = 2;

pub(super) fn client(settings: &StorageConfig, endpoint: &str) -> Client {
    let StorageConfig {
        region,
        access_key_id,
        secret_access_key,
        ..
    } = settings;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .pool_idle_timeout(Duration::from_secs(20))
        .build_https();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        // Buckets in host names need DNS that most own servers do not have.
        .force_path_style(settings.dialect.path_style)
        .region(Region::new(region.clone()))
        .credentials_provider(Credentials::from_keys(
            access_key_id,
            secret_access_key,
            None,
        ))
        .timeout_config(timeouts(0))
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(ATTEMPTS)
                .with_max_backoff(Duration::from_secs(5)),
        )
        // We send SHA-256 ourselves; trailers with CRC32 are more than some servers understand.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}

fn timeouts(bytes: u64) -> TimeoutConfig {
    let attempt = ATTEMPT_MAX + Duration::from_secs(bytes / BYTES_PER_SECOND_MIN);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt * CALL_ATTEMPTS)
        .build()
}

/// For a request with a body of so many bytes.
pub(super) fn patience(bytes: u64) -> aws_sdk_s3::config::Builder {
    aws_sdk_s3::Config::builder().timeout_config(timeouts(bytes))
}

pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error
        .raw_response()
        .map(|response| response.status().as_u16())
}

/// Whether the store does not know this call at all.
pub(super) fn is_unknown<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    matches!(status(error), Some(405 | 501)) || error.code() == Some("NotImplemented")
}

/// What an operator needs of it, in a line: the answer's status, code and message, or each cause in
/// turn.
pub(super) fn described<E: ProvideErrorMetadata + std::error::Error + 'static>(
    error: &SdkError<E>,
) -> String {
    if let Some(status) = status(error) {
        let words = [error.code(), error.message()]
            .into_iter()
            .flatten()
            .map(ToOwned::to_owned);
        return std::iter::once(status.to_string())
            .chain(words)
            .collect::<Vec<_>>()
            .join(" ");
    }
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| {
        error.source()
    });
    let mut said: Vec<String> = causes.map(ToString::to_string).collect();
    said.dedup();
    said.join(": ")
}

pub(super) fn fault<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
    key: &str,
    error: SdkError<E>,
) -> ObjectError {
    let code = error.code().unwrap_or_default().to_owned();
    let said = described(&error);
    let fault = match (status(&error), code.as_str()) {
        (_, "InvalidObjectState" | "ObjectNotInActiveTierError") => {
            ObjectError::Archived(key.to_owned())
        }
        (_, "NoSuchBucket") => ObjectError::Refused(said),
        (_, "NoSuchKey" | "NotFound") | (Some(404), _) => ObjectError::Missing(key.to_owned()),
        (None, _) | (Some(408 | 429), _) => ObjectError::Transient(said),
        (Some(501), _) => ObjectError::Refused(said),
        (Some(status), _) if status >= 500 => ObjectError::Transient(said),
        _ => ObjectError::Refused(said),
    };
    if fault.is_away() {
        let code = status(&error).map_or_else(|| "none".to_owned(), |status| status.to_string());
        metrics::counter!("hansard_storage_errors_total", "code" => code).increment(1);
    }
    fault
}
