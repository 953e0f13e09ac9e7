//! What the history is told of consents: one payload for an event, whoever wrote it down.

use aquifer_shared::domain::history::{Json, Kind};

use super::event::{ConsentEvent, EventKind};

/// An event as the history commits to it.
///
/// # Privacy
///
/// Names the person by the keyed reference: stays at the node, and goes when the person is erased.
#[must_use]
pub fn told(event: &ConsentEvent) -> Json {
    let fields = [
        ("about", Json::from(event.scope.word())),
        ("age", Json::from(event.age.word())),
        ("event_at", Json::from(event.event_at)),
        ("explicit", Json::from(event.explicit)),
        ("kind", Json::from(event.kind.word())),
        ("notice", or_null(event.notice.map(u32::from))),
        ("place", or_null(event.place.map(|place| place.to_string()))),
        ("recorded_at", Json::from(event.recorded_at)),
        ("subject", Json::from(format!("{:032x}", event.subject.0))),
        ("valid_from", or_null(event.valid_from)),
        ("valid_until", or_null(event.valid_until)),
    ];
    Json::object(fields)
}

/// The history's kind of an event.
#[must_use]
pub fn kind_of(kind: EventKind) -> Kind {
    match kind {
        EventKind::Given => Kind::ConsentGiven,
        EventKind::Renewed => Kind::ConsentRenewed,
        EventKind::ParentalGiven => Kind::ConsentParentalGiven,
        EventKind::Refused => Kind::ConsentRefused,
        EventKind::Withdrawn => Kind::ConsentWithdrawn,
        EventKind::Expired => Kind::ConsentExpired,
        EventKind::Invalidated => Kind::ConsentInvalidated,
        EventKind::TerminatedByController => Kind::ConsentTerminated,
        EventKind::Objected => Kind::ConsentObjected,
        EventKind::OptOutSignal => Kind::ConsentOptOut,
        EventKind::ObjectionWithdrawn => Kind::ConsentObjectionWithdrawn,
        EventKind::Requested => Kind::ConsentRequested,
    }
}

fn or_null(value: Option<impl Into<Json>>) -> Json {
    value.map_or(Json::Null, Into::into)
}

#[cfg(test)]
mod tests {
    use super::super::tests::event;
    use super::*;

    #[test]
    fn every_kind_has_its_name_in_the_history() {
        for kind in EventKind::ALL {
            assert_eq!(kind_of(*kind).name(), format!("consent.{}", kind.word()));
        }
    }

    #[test]
    fn an_event_is_told_in_one_form() {
        let payload = told(&event(EventKind::Withdrawn, 7)).to_payload().unwrap();
        let text = String::from_utf8(payload).unwrap();
        assert!(text.starts_with(r#"{"about":""#), "{text}");
        assert!(text.contains(r#""event_at":7,"#) && text.contains(r#""kind":"withdrawn""#));
    }
}
