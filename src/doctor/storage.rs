//! Object storage: whether it works, and with `--s3` each call that it must understand.

use super::{Finding, State, reach};
use crate::{
    config::Settings,
    domain::{
        object_key::{self, DOCTOR},
        tiering::Tier,
    },
    embed::s3::{self, S3Server},
    objects::{
        self, Objects, StorageConfig,
        conform::{self, Ability, Verdict},
    },
};
use std::net::SocketAddr;

const WHAT: &str = "object storage";

/// The bucket that is set, and whose it is; the server that is brought along, if it had to be
/// started.
pub(crate) async fn reach_bucket(
    settings: &Settings,
) -> Result<(StorageConfig, &'static str, Option<S3Server>), Finding> {
    if let Some(given) = &settings.s3 {
        return Ok((given.clone(), "given", None));
    }
    let folder = settings.data.join("s3");
    let here = |address: SocketAddr, credentials: &s3::Credentials| {
        let endpoint = format!("http://{address}");
        let public = settings.s3_public_endpoint.clone();
        StorageConfig {
            public_endpoint: public.unwrap_or_else(|| endpoint.clone()),
            endpoint,
            region: "us-east-1".to_owned(),
            bucket: settings.s3_bucket.clone(),
            access_key_id: credentials.access_key_id.clone(),
            secret_access_key: credentials.secret_access_key.clone(),
            dialect: objects::Dialect::default(),
        }
    };
    // `serve` has it when it runs; then it is used as it is.
    match S3Server::start(&folder, settings.s3_listen, s3::Options::default()).await {
        Ok(server) => {
            let config = here(server.address, &server.credentials);
            Ok((config, "brought along", Some(server)))
        }
        Err(error) => match S3Server::kept_credentials(&folder) {
            Some(credentials) => {
                let config = here(settings.s3_listen, &credentials);
                Ok((config, "brought along, running", None))
            }
            None => Err(Finding::fail(
                WHAT,
                format!("{error:#}"),
                "choose a free address with --s3-listen, or set S3_ENDPOINT",
            )),
        },
    }
}

pub async fn objects(settings: &Settings) -> Vec<Finding> {
    match reach_bucket(settings).await {
        Ok((config, which, server)) => {
            let findings = bucket(settings, &config, which).await;
            if let Some(server) = server {
                server.stop().await;
            }
            findings
        }
        Err(finding) => vec![finding],
    }
}

/// Everything that the storage is asked for, one after the other: what it cannot do, and what then
/// does not work.
pub async fn conform(settings: &Settings, mut tell: impl FnMut(Finding)) {
    let (config, which, server) = match reach_bucket(settings).await {
        Ok(reached) => reached,
        Err(finding) => return tell(finding),
    };
    let found = bucket(settings, &config, which).await;
    let works = !found
        .iter()
        .any(|one| one.what == WHAT && one.state == State::Fail);
    found.into_iter().for_each(&mut tell);
    if works {
        let prefix = format!("{}/", object_key::trial(DOCTOR, uuid::Uuid::new_v4()));
        let cleaned = conform::examine(
            &config,
            &settings.tariff.classes,
            &prefix,
            |ability, verdict| {
                tell(finding(ability, verdict));
            },
        );
        if let Err(why) = cleaned.await {
            tell(Finding::warn(
                "cleaning up",
                why,
                format!(
                    "remove what lies below {prefix} in the bucket {}",
                    config.bucket
                ),
            ));
        }
    }
    if let Some(server) = server {
        server.stop().await;
    }
}

fn finding(ability: Ability, verdict: Verdict) -> Finding {
    let what = ability.what();
    match (verdict, ability.without()) {
        (Verdict::Can, _) => Finding::ok(what, "as it should be"),
        (Verdict::NotAsked, _) if ability.is_of_versions() => {
            Finding::ok(what, "the bucket keeps none, and needs none")
        }
        (Verdict::NotAsked, _) => Finding::ok(what, "no tier needs it (--s3-class-…)"),
        (Verdict::Cannot(why), Some(without)) => Finding::warn(what, why, without),
        (Verdict::Cannot(why), None) => {
            Finding::fail(what, why, "use another storage: nothing works without it")
        }
    }
}

async fn bucket(all: &Settings, settings: &StorageConfig, which: &str) -> Vec<Finding> {
    let objects = Objects::new(settings);
    let key = object_key::trial(DOCTOR, uuid::Uuid::new_v4());
    let content = b"hansard doctor".to_vec();
    let used = async {
        objects.ensure_bucket().await?;
        objects
            .put_bytes(&key, content.clone(), "text/plain", Tier::Hot)
            .await?;
        objects.get_bytes(&key).await
    };
    match used.await {
        Ok(read) if read == content => {}
        Ok(_) => {
            return vec![Finding::fail(
                WHAT,
                "it gives back other bytes than it got",
                "use another storage",
            )];
        }
        Err(error) => {
            let mend = objects::diagnose(settings).await.mend().unwrap_or(
                "see whether S3_ENDPOINT, S3_BUCKET, the keys and their rights (get, put, delete, list) are right",
            );
            return vec![Finding::fail(WHAT, error.to_string(), mend)];
        }
    }
    let links = reach::links(all, settings, &objects, &key, &content).await;
    let found = format!(
        "{}, bucket {}, {which}: written, read",
        settings.endpoint, settings.bucket
    );
    let deleted = match objects.delete(&key).await {
        Ok(()) => Finding::ok(WHAT, found + ", deleted"),
        Err(error) => Finding::fail(
            WHAT,
            format!("{found}, not deleted: {error}"),
            "give the keys the right to delete",
        ),
    };
    std::iter::once(deleted).chain(links).collect()
}
