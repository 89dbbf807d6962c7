use super::*;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use serde_json::{Map, Value, json};
use uuid::Uuid;

const SECRET: &[u8] = b"the test's secret of more than thirty-two bytes";

fn keys() -> Keys {
    Keys::new(SECRET).expect("long enough")
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_795_364_221_230).expect("in range")
}

fn subject() -> Subject {
    Subject {
        tenant: TenantId(Uuid::from_u128(1)),
        meeting: MeetingId(Uuid::from_u128(2)),
        participant: ParticipantId(Uuid::from_u128(3)),
        role: Role::Host,
        minted: now(),
    }
}

fn after(s: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(s)
}

#[test]
fn every_kind_comes_back_as_what_it_is() {
    let keys = keys();
    let join = keys.mint_join(subject(), now());
    assert_eq!(
        keys.read(&join.token, now()),
        Ok(Credential::Join(subject()))
    );
    assert_eq!(join.expires.timestamp() - now().timestamp(), JOIN_TTL_S);
    assert_eq!(
        keys.read(&keys.mint_resume(subject(), now()), after(86_400)),
        Ok(Credential::Resume(subject()))
    );
    let consent = keys.mint_consent(subject(), now());
    let plain = Subject {
        role: Role::Participant,
        ..subject()
    };
    assert_eq!(
        keys.read(&consent, after(40 * 86_400)),
        Ok(Credential::Consent(plain))
    );
    let user = UserId(Uuid::from_u128(4));
    let session = keys.mint_session(subject().tenant, user, 1_000_000, now());
    assert_eq!(
        keys.read(&session.token, after(SESSION_TTL_S_MAX)),
        Ok(Credential::Session(Session {
            tenant: subject().tenant,
            user,
            expires: session.expires
        })),
    );
    let whip = keys.mint_whip(subject(), 1_000_000, now());
    assert_eq!(
        keys.read(&whip.token, after(WHIP_TTL_S_MAX)),
        Ok(Credential::Whip(plain))
    );
    assert_eq!(whip.expires.timestamp() - now().timestamp(), WHIP_TTL_S_MAX);
    for (kind, is) in [
        (
            TokenUse::Observe,
            Credential::Observe as fn(Reader) -> Credential,
        ),
        (TokenUse::Play, Credential::Play as fn(Reader) -> Credential),
    ] {
        let Subject {
            tenant, meeting, ..
        } = subject();
        let read = keys.mint_reader(kind, tenant, meeting, 1_000_000, now());
        assert_eq!(
            keys.read(&read.token, after(MEETING_TTL_S_MAX)),
            Ok(is(Reader {
                tenant,
                meeting,
                minted: subject().minted,
                expires: read.expires
            }))
        );
        assert_eq!(
            keys.read(&read.token, after(MEETING_TTL_S_MAX + LEEWAY_S + 1)),
            Err(Refused::Expired)
        );
    }
    for secret in [Secret::API_KEY, Secret::LINK] {
        let secret = Secret::random(secret).expect("random");
        let read = keys.read(secret.reveal(), now());
        assert!(
            matches!(read, Ok(Credential::ApiKey(hash) | Credential::Link(hash)) if hash == secret.hash())
        );
        assert!(!format!("{secret:?}").contains(secret.reveal()));
    }
}

#[test]
fn ends_with_no_more_than_the_leeway() {
    let keys = keys();
    let join = keys.mint_join(subject(), now()).token;
    assert!(keys.read(&join, after(JOIN_TTL_S + LEEWAY_S - 1)).is_ok());
    assert_eq!(
        keys.read(&join, after(JOIN_TTL_S + LEEWAY_S)),
        Err(Refused::Expired)
    );
    assert!(keys.read(&join, after(-LEEWAY_S)).is_ok());
    assert_eq!(keys.read(&join, after(-LEEWAY_S - 1)), Err(Refused::Early));
    let session = keys
        .mint_session(subject().tenant, UserId(Uuid::from_u128(4)), 60, now())
        .token;
    assert_eq!(
        keys.read(&session, after(60 + LEEWAY_S)),
        Err(Refused::Expired)
    );
}

fn key(keys: &Keys, kind: Kind) -> &Key {
    keys.0
        .iter()
        .find(|key| key.kind == kind)
        .expect("every kind")
}

/// A token with the join key's signature over whatever header and claims.
fn forge(header: &Value, claims: &Value, secret: &EncodingKey, algorithm: Algorithm) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), secret, algorithm).expect("signs");
    format!("{message}.{signature}")
}

#[test]
fn no_mutation_is_accepted() {
    let keys = keys();
    let good = keys.mint_join(subject(), now()).token;
    let parts: Vec<&str> = good.split('.').collect();
    let json = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("json")
    };
    let (header, claims) = (json(parts[0]), json(parts[1]));
    let join = key(&keys, Kind::Join);
    let signed =
        |header: &Value, claims: &Value| forge(header, claims, &join.sign, Algorithm::HS256);
    assert!(
        keys.read(&signed(&header, &claims), now()).is_ok(),
        "the forge itself works"
    );

    let with = |base: &Value, name: &str, value: Value| {
        let mut map: Map<String, Value> = base.as_object().expect("object").clone();
        map.insert(name.into(), value);
        Value::Object(map)
    };
    let without = |base: &Value, name: &str| {
        let mut map: Map<String, Value> = base.as_object().expect("object").clone();
        map.remove(name).expect("was there");
        Value::Object(map)
    };
    let at = now().timestamp();
    let mut bad: Vec<(String, String)> = Vec::new();

    // Signed by nobody, or by somebody else.
    let mut none = with(&header, "alg", json!("none"));
    bad.push(("alg none, no signature".into(), {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&none), part(&claims))
    }));
    none = with(&header, "alg", json!("HS256"));
    bad.push(("no signature".into(), {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&none), part(&claims))
    }));
    let other = Keys::new(b"another secret, which is also long enough").expect("long enough");
    bad.push((
        "another secret".into(),
        other.mint_join(subject(), now()).token,
    ));
    let other_key = &key(&other, Kind::Join).sign;
    bad.push((
        "another secret under our kid".into(),
        forge(&header, &claims, other_key, Algorithm::HS256),
    ));
    for (name, algorithm) in [("HS384", Algorithm::HS384), ("HS512", Algorithm::HS512)] {
        let header = with(&header, "alg", json!(name));
        bad.push((
            format!("alg {name}"),
            forge(&header, &claims, &join.sign, algorithm),
        ));
    }
    bad.push((
        "signature of HS512 under HS256".into(),
        forge(&header, &claims, &join.sign, Algorithm::HS512),
    ));
    for name in ["none", "None", "RS256", "ES256", "EdDSA", "hs256", ""] {
        bad.push((
            format!("alg {name:?} signed HS256"),
            signed(&with(&header, "alg", json!(name)), &claims),
        ));
    }

    // The header.
    for name in ["alg", "kid", "typ"] {
        bad.push((
            format!("no {name}"),
            signed(&without(&header, name), &claims),
        ));
        bad.push((
            format!("{name} null"),
            signed(&with(&header, name, Value::Null), &claims),
        ));
    }
    for kind in [Kind::Resume, Kind::Consent, Kind::Session] {
        let kid = json!(key(&keys, kind).header.kid);
        bad.push((
            format!("kid of {kind:?}"),
            signed(&with(&header, "kid", kid), &claims),
        ));
        let of_kind = &key(&keys, kind).sign;
        bad.push((
            format!("key of {kind:?}"),
            forge(&header, &claims, of_kind, Algorithm::HS256),
        ));
    }
    bad.push((
        "kid a path".into(),
        signed(&with(&header, "kid", json!("../../dev/null")), &claims),
    ));
    bad.push((
        "crit".into(),
        signed(&with(&header, "crit", json!(["exp"])), &claims),
    ));
    bad.push((
        "jku".into(),
        signed(
            &with(&header, "jku", json!("http://127.0.0.1/keys")),
            &claims,
        ),
    ));
    bad.push((
        "unknown header".into(),
        signed(&with(&header, "b64", json!(false)), &claims),
    ));

    // The claims.
    for name in [
        "iss", "aud", "sub", "exp", "nbf", "jti", "tenant", "meeting", "role", "minted",
    ] {
        bad.push((
            format!("no {name}"),
            signed(&header, &without(&claims, name)),
        ));
        bad.push((
            format!("{name} null"),
            signed(&header, &with(&claims, name, Value::Null)),
        ));
        bad.push((
            format!("{name} a list"),
            signed(&header, &with(&claims, name, json!([claims[name]]))),
        ));
        let turned = if claims[name].is_string() {
            json!(7)
        } else {
            json!(claims[name].to_string())
        };
        bad.push((
            format!("{name} of another type"),
            signed(&header, &with(&claims, name, turned)),
        ));
    }
    for (name, value) in [
        ("exp", json!(at - LEEWAY_S)),
        ("exp", json!(at + JOIN_TTL_S + 1)),
        ("exp", json!(at as f64 + 60.5)),
        ("exp", json!(1e300)),
        ("exp", json!(i64::MIN)),
        ("exp", json!(u64::MAX)),
        ("nbf", json!(at + LEEWAY_S + 1)),
        ("nbf", json!(-1)),
        ("nbf", json!(i64::MIN)),
        ("iss", json!("somebody")),
        ("iss", json!("")),
        ("aud", json!("resume")),
        ("aud", json!("Join")),
        ("sub", json!("not-an-id")),
        ("jti", json!("")),
        ("meeting", json!("00000000-0000-0000-0000-00000000000")),
        ("role", json!("admin")),
        ("role", json!("Host")),
        ("minted", json!(i64::MAX)),
        ("admin", json!(true)),
    ] {
        bad.push((
            format!("{name} {value}"),
            signed(&header, &with(&claims, name, value)),
        ));
    }
    bad.push(("claims a list".into(), signed(&header, &json!([claims]))));
    bad.push(("claims a string".into(), signed(&header, &json!("claims"))));

    // The text.
    bad.push(("empty".into(), String::new()));
    bad.push(("one part".into(), parts[0].into()));
    bad.push(("two parts".into(), format!("{}.{}", parts[0], parts[1])));
    bad.push(("four parts".into(), format!("{good}.{}", parts[2])));
    bad.push((
        "five parts".into(),
        format!("{good}.{}.{}", parts[1], parts[2]),
    ));
    bad.push(("padded".into(), format!("{good}=")));
    bad.push(("a space before".into(), format!(" {good}")));
    bad.push(("a line after".into(), format!("{good}\n")));
    bad.push((
        "too long".into(),
        format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX)),
    ));
    bad.push(("signature cut".into(), good[..good.len() - 1].into()));
    bad.push(("signature longer".into(), format!("{good}A")));
    bad.push((
        "parts swapped".into(),
        format!("{}.{}.{}", parts[1], parts[0], parts[2]),
    ));
    bad.push(("API key too short".into(), "hk_AAAA".into()));
    bad.push((
        "link with other letters".into(),
        format!("hl_{}", "+".repeat(43)),
    ));
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        bad.push((
            format!("character {at} changed"),
            String::from_utf8(bytes).expect("ascii"),
        ));
    }

    assert!(bad.len() > 140, "{}", bad.len());
    for (what, token) in bad {
        assert!(
            keys.read(&token, now()).is_err(),
            "{what} was accepted: {token}"
        );
    }
}

/// One of each kind, in the order of [`Kind::ALL`].
fn one_of_each(keys: &Keys) -> [String; 7] {
    [
        keys.mint_join(subject(), now()).token,
        keys.mint_resume(subject(), now()),
        keys.mint_consent(subject(), now()),
        keys.mint_session(subject().tenant, UserId(Uuid::from_u128(4)), 60, now())
            .token,
        keys.mint_whip(subject(), 60, now()).token,
        keys.mint_reader(
            TokenUse::Observe,
            subject().tenant,
            subject().meeting,
            60,
            now(),
        )
        .token,
        keys.mint_reader(
            TokenUse::Play,
            subject().tenant,
            subject().meeting,
            60,
            now(),
        )
        .token,
    ]
}

#[test]
fn a_token_of_one_kind_is_none_of_another() {
    let keys = keys();
    let tokens = one_of_each(&keys);
    let read: Vec<_> = tokens
        .iter()
        .map(|token| keys.read(token, now()).expect("good"))
        .collect();
    assert!(matches!(
        read[..],
        [
            Credential::Join(_),
            Credential::Resume(_),
            Credential::Consent(_),
            Credential::Session(_),
            Credential::Whip(_),
            Credential::Observe(_),
            Credential::Play(_)
        ]
    ));
}

/// Each kind has its own set, which the shared reading of claims does not soften.
#[test]
fn each_kind_has_exactly_its_claims() {
    let keys = keys();
    let of_any = [
        ("exp", json!(now().timestamp() + 30)),
        ("nbf", json!(now().timestamp())),
        ("meeting", json!(subject().meeting)),
        ("role", json!("participant")),
        ("minted", json!(now().timestamp_millis())),
    ];
    for (kind, token) in Kind::ALL.into_iter().zip(one_of_each(&keys)) {
        let part = token.split('.').nth(1).expect("claims");
        let good: Map<String, Value> =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("json");
        let key = key(&keys, kind);
        let header = serde_json::to_value(&key.header).expect("json");
        let read = |claims: Map<String, Value>| {
            let token = forge(&header, &claims.into(), &key.sign, Algorithm::HS256);
            keys.read(&token, now())
        };
        assert!(read(good.clone()).is_ok(), "{kind:?}");
        for name in good.keys() {
            let mut less = good.clone();
            less.remove(name);
            assert_eq!(read(less), Err(Refused::Claims), "{kind:?} without {name}");
        }
        for (name, value) in &of_any {
            if good.contains_key(*name) {
                continue;
            }
            for value in [value.clone(), Value::Null] {
                let mut more = good.clone();
                more.insert((*name).to_owned(), value);
                assert_eq!(read(more), Err(Refused::Claims), "{kind:?} with {name}");
            }
        }
    }
}
