//! The S3 client: how long it waits, how often it tries, and what its errors mean.

use super::{ObjectError, Settings};
use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Region, RequestChecksumCalculation, ResponseChecksumValidation, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;

const CONNECT_MAX: Duration = Duration::from_secs(3);
/// One attempt at one request, that is at most 64 MiB: a link of 1 MB/s is just enough.
const ATTEMPT_MAX: Duration = Duration::from_secs(70);
const ATTEMPTS: u32 = 4;
/// One call, with all its attempts.
const CALL_MAX: Duration = Duration::from_secs(180);

pub(super) fn client(settings: &Settings, endpoint: &str) -> Client {
    let Settings { region, access_key_id, secret_access_key, .. } = settings;
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .pool_idle_timeout(Duration::from_secs(20))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .operation_attempt_timeout(ATTEMPT_MAX)
        .operation_timeout(CALL_MAX)
        .build();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        // Buckets in host names need DNS that most own servers do not have.
        .force_path_style(true)
        .region(Region::new(region.clone()))
        .credentials_provider(Credentials::from_keys(access_key_id, secret_access_key, None))
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(Duration::from_secs(5)))
        // We send SHA-256 ourselves; trailers with CRC32 are more than some servers understand.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .build();
    Client::from_conf(config)
}

pub(super) fn status<E>(error: &SdkError<E>) -> Option<u16> {
    error.raw_response().map(|response| response.status().as_u16())
}

pub(super) fn fault<E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static>(
    key: &str,
    error: SdkError<E>,
) -> ObjectError {
    let code = error.code().unwrap_or_default().to_owned();
    let said = format!("{}", aws_sdk_s3::error::DisplayErrorContext(&error));
    match (status(&error), code.as_str()) {
        (_, "InvalidObjectState") => ObjectError::Archived(key.to_owned()),
        (_, "NoSuchBucket") => ObjectError::Refused(said),
        (_, "NoSuchKey" | "NotFound") | (Some(404), _) => ObjectError::Missing(key.to_owned()),
        (None, _) | (Some(408 | 429), _) => ObjectError::Transient(said),
        (Some(501), _) => ObjectError::Refused(said),
        (Some(status), _) if status >= 500 => ObjectError::Transient(said),
        _ => ObjectError::Refused(said),
    }
}
