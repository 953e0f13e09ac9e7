//! What the history is told of erasures. The record of an erasure is the truth: every step has a key, so that what a crash lost is
//! entered at the next start, once.

use aquifer_shared::domain::history::{ActorKind, ActorRole, Event, Json, Kind};

use super::erasure::{Backup, Case, Stage};
use super::extension::Extension;
use crate::core::chronicle::Keyed;

/// Every step that was taken, and every backup that is gone at this time, each with its key.
///
/// # Privacy
///
/// Names the person nowhere: neither by an id nor by a reference. Who checked the person's identity is named.
#[must_use]
pub fn told(case: &Case, now: i64) -> Vec<Keyed> {
    let steps = case
        .reached
        .iter()
        .filter_map(|(stage, at)| step(case, *stage, *at));
    let certificates = case.certificates.iter().map(|digest| {
        let digest = digest.to_string();
        let fields = vec![("certificate", Json::from(digest.as_str()))];
        keyed(case, Kind::ErasureCertificateIssued, &digest, fields)
    });
    let gone = (0_u32..)
        .zip(&case.backups)
        .filter(|(_, backup)| backup.expires_at <= now);
    let gone = gone.map(|(number, backup)| expired(case, number, backup));
    steps.chain(certificates).chain(gone).collect()
}

/// That an erasure takes longer, with its key.
///
/// # Privacy
///
/// As [`told`]; the reason is of a closed list.
#[must_use]
pub fn extended(case: &Case, extension: &Extension) -> Keyed {
    let fields = vec![
        ("answer_by", Json::from(extension.until)),
        ("event_at", Json::from(extension.at)),
        ("reason", Json::from(extension.reason.word())),
    ];
    keyed(case, Kind::RequestExtended, "extended", fields)
}

fn step(case: &Case, stage: Stage, at: i64) -> Option<Keyed> {
    let mut fields = vec![("event_at", Json::from(at))];
    let kind = match stage {
        Stage::Received => Kind::RequestReceived,
        Stage::IdentityVerified => {
            let by = case.verified_by.as_deref().map_or(Json::Null, Json::from);
            fields.push(("verified_by", by));
            Kind::RequestIdentityVerified
        }
        Stage::NodeDeleted => {
            let stores = case.deleted.iter().map(|own| {
                Json::object([
                    ("rows_deleted", Json::from(own.rows_deleted)),
                    ("store", Json::from(own.store.as_str())),
                ])
            });
            fields.push(("stores", Json::List(stores.collect())));
            Kind::ErasureNodeDone
        }
        Stage::Closed => Kind::RequestFulfilled,
        Stage::Refused => Kind::RequestRefused,
        // Certificates are told one by one; the other stages only look things up.
        Stage::Scoped
        | Stage::InflightResolved
        | Stage::BackupsScheduled
        | Stage::ModelsAssessed
        | Stage::CertificateIssued => return None,
    };
    Some(keyed(case, kind, stage.word(), fields))
}

fn expired(case: &Case, number: u32, backup: &Backup) -> Keyed {
    let fields = vec![
        ("backup", Json::from(backup.id.as_str())),
        ("expired_at", Json::from(backup.expires_at)),
    ];
    keyed(
        case,
        Kind::ErasureBackupExpired,
        &format!("backup {number}"),
        fields,
    )
}

fn keyed(case: &Case, kind: Kind, what: &str, fields: Vec<(&str, Json)>) -> Keyed {
    let request = case.request.to_string();
    let common = [
        ("ground", Json::from(case.ground.word())),
        ("request", Json::from(request.as_str())),
        ("right", Json::from("erasure")),
    ];
    let fields = common.into_iter().chain(fields);
    let fields = fields.map(|(key, value)| (key.to_owned(), value));
    let event = Event::of_program(kind, Json::Object(fields.collect()));
    let event = event.by(ActorKind::Person, ActorRole::Unit);
    (format!("erasure/{request}/{what}"), event)
}

#[cfg(test)]
mod tests {
    use aquifer_shared::base::ids::Hash32;

    use super::super::erasure::{Deleted, Ground, Inflight, Step, Tombstone};
    use super::super::extension::Reason;
    use super::*;

    fn case() -> Case {
        Case::received(Hash32([3; 32]), Ground::Child, 10)
    }

    #[track_caller]
    fn check(case: &Case, now: i64, expected: &[&str]) {
        let told = told(case, now);
        let kinds: Vec<&str> = told.iter().map(|(_, event)| event.kind.name()).collect();
        assert_eq!(kinds, expected);
        let mut keys: Vec<&String> = told.iter().map(|(key, _)| key).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), told.len(), "each has a key of its own");
        for (_, event) in &told {
            let payload = event.payload.to_payload().unwrap();
            let text = String::from_utf8(payload).unwrap();
            assert!(text.contains(&case.request.to_string()), "{text}");
        }
    }

    #[test]
    fn steps_of_an_erasure_are_told_as_they_are_taken() {
        let mut case = case();
        check(&case, 10, &["request.received"]);
        case.take(11, Step::Verify("J. Doe".to_owned())).unwrap();
        case.take(12, Step::Scope(Vec::new())).unwrap();
        let began = ["request.received", "request.identity_verified"];
        check(&case, 12, &began);
        let gone = Deleted {
            store: "consent.db: events".to_owned(),
            rows_deleted: 3,
        };
        let mark = Tombstone {
            key_id: "00".to_owned(),
            until: 99,
        };
        case.take(13, Step::Delete(vec![gone], mark)).unwrap();
        case.take(14, Step::Resolve(Inflight::CompletedBefore(13)))
            .unwrap();
        let backup = Backup {
            id: "nightly".to_owned(),
            expires_at: 20,
        };
        case.take(15, Step::Schedule(vec![backup])).unwrap();
        let deleted = [&began[..], &["erasure.node_done"]].concat();
        check(&case, 19, &deleted);
        check(
            &case,
            20,
            &[&deleted[..], &["erasure.backup_expired"]].concat(),
        );
        let assess = Step::Assess {
            age_max_ms: 1,
            eps_at_once_micro: 1,
        };
        case.take(16, assess).unwrap();
        case.take(17, Step::Certify(Hash32([7; 32]))).unwrap();
        case.take(21, Step::Close).unwrap();
        let all = [
            &deleted[..],
            &[
                "request.fulfilled",
                "erasure.certificate_issued",
                "erasure.backup_expired",
            ],
        ];
        check(&case, 21, &all.concat());
    }

    #[test]
    fn a_longer_clock_is_told_with_its_reason() {
        let extension = Extension {
            at: 11,
            until: 97,
            reason: Reason::NumberOfRequests,
        };
        let (key, event) = extended(&case(), &extension);
        assert!(key.ends_with("/extended"), "{key}");
        assert_eq!(event.kind, Kind::RequestExtended);
        let text = event.payload.to_text();
        for part in [
            r#""answer_by":97"#,
            r#""reason":"number_of_requests""#,
            r#""right":"erasure""#,
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_refusal_is_told_without_its_words() {
        let mut case = case();
        case.take(11, Step::Refuse("names somebody".to_owned()))
            .unwrap();
        check(&case, 11, &["request.received", "request.refused"]);
        let (_, refused) = &told(&case, 11)[1];
        assert_eq!(refused.payload.get("why"), None);
    }
}
