//! Restores from the archive of the server that is brought along: they take their time, and end.

use super::*;
use crate::support::Scratch;
use aws_sdk_s3::{error::ProvideErrorMetadata, types::RestoreRequest};
use hansard::embed::s3::Options;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_restore_takes_its_time_and_ends() {
    let options = Options {
        restore_delay: 12 * HOUR,
        ..Options::default()
    };
    let mut bucket = Bucket::start_with(Scratch::new(), options).await;
    let (key, content) = ("m/archive.bin", vec![7; 100]);
    bucket
        .objects
        .put_bytes(
            key,
            content.clone(),
            "application/octet-stream",
            Tier::Archive,
        )
        .await
        .expect("stored");
    let state = async |bucket: &Bucket| {
        let head = bucket.objects.head(key).await.expect("it answers");
        let is_readable = match bucket.objects.get_bytes(key).await {
            Ok(bytes) => bytes == content,
            Err(ObjectError::Archived(_)) => false,
            Err(error) => panic!("{error}"),
        };
        (head.expect("it is there").restore, is_readable)
    };
    assert_eq!(state(&bucket).await, (None, false));
    let ask = async |bucket: &Bucket, days: i32| {
        let request = RestoreRequest::builder().days(days).build();
        let asked = bucket.client().restore_object().bucket("hansard").key(key);
        let asked = asked.restore_request(request).send().await;
        asked.map_err(|error| error.code().unwrap_or_default().to_owned())
    };
    ask(&bucket, 2).await.expect("it is taken");
    let running = (Some("ongoing-request=\"true\"".to_owned()), false);
    assert_eq!(state(&bucket).await, running);
    bucket.pass(11 * HOUR);
    assert_eq!(state(&bucket).await, running);
    assert_eq!(
        ask(&bucket, 2).await.expect_err("one is running"),
        "RestoreAlreadyInProgress"
    );
    // It goes on where it was.
    bucket.restart().await;
    assert_eq!(state(&bucket).await, running);
    bucket.pass(HOUR + HOUR / 60);
    let (said, is_readable) = state(&bucket).await;
    let said = said.expect("it says until when");
    assert!(
        said.starts_with("ongoing-request=\"false\", expiry-date=\""),
        "{said}"
    );
    assert!(is_readable);
    // Asking again moves the end, and needs no time.
    ask(&bucket, 9).await.expect("it is taken");
    bucket.pass(5 * 24 * HOUR);
    assert!(state(&bucket).await.1);
    bucket.pass(5 * 24 * HOUR);
    assert_eq!(state(&bucket).await, (None, false));
    // A restore is of one version: what is written over it begins anew.
    ask(&bucket, 1).await.expect("it is taken");
    bucket
        .objects
        .put_bytes(
            key,
            content.clone(),
            "application/octet-stream",
            Tier::Archive,
        )
        .await
        .expect("stored");
    assert_eq!(state(&bucket).await, (None, false));
}
