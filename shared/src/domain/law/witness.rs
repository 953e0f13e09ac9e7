//! Types that say for which gate, and of what kind of subject, something was allowed. They hold nothing.
//!
//! What takes an `Allowed<Train, Run>` cannot be reached without a decision that allows this run to train: see the cases below that
//! must not compile.

use super::decision::Subject;
use super::vocabulary::Gate;

mod sealed {
    pub trait Sealed {}
}

/// A gate as a type.
pub trait GateKind: sealed::Sealed {
    /// Which.
    const GATE: Gate;
}

/// A kind of subject as a type.
pub trait SubjectKind: sealed::Sealed {
    /// Which.
    const SUBJECT: Subject;
}

macro_rules! kinds {
    ($kind:ident $constant:ident $of:ident: $($(#[$doc:meta])* $name:ident),+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $name {}
            impl sealed::Sealed for $name {}
            impl $kind for $name {
                const $constant: $of = $of::$name;
            }
        )+
    };
}

kinds!(GateKind GATE Gate:
    /// Data may enter.
    Ingest,
    /// It may be learned from.
    Train,
    /// A question may be answered.
    Query,
    /// A score may be shown.
    Score,
    /// A model may be published.
    Release);

kinds!(SubjectKind SUBJECT Subject:
    /// One person is eligible.
    Person,
    /// A run may go on.
    Run);

/// What is denied does not compile into something that is done. Nobody but `decide` makes a decision:
///
/// ```compile_fail,E0451
/// use aquifer_shared::domain::law::{Decision, Set};
/// fn forged(genuine: Decision) -> Decision {
///     Decision { causes: Set::EMPTY, ..genuine }
/// }
/// ```
///
/// Nobody makes a witness without a decision:
///
/// ```compile_fail,E0451
/// use aquifer_shared::domain::law::{Allowed, Decision, witness::{Run, Train}};
/// use std::marker::PhantomData;
/// fn forged(decision: Decision) -> Allowed<Train, Run> {
///     Allowed { decision, of: PhantomData }
/// }
/// ```
///
/// A decision is no witness, and a witness for one gate is none for another (training, query, score, release):
///
/// ```compile_fail,E0308
/// use aquifer_shared::domain::law::{Allowed, Decision, witness::{Run, Train}};
/// fn train(allowed: Allowed<Train, Run>) {}
/// fn around(decision: Decision) { train(decision) }
/// ```
///
/// ```compile_fail,E0308
/// use aquifer_shared::domain::law::{Allowed, witness::{Query, Run, Train}};
/// fn answer(allowed: Allowed<Query, Run>) {}
/// fn around(allowed: Allowed<Train, Run>) { answer(allowed) }
/// ```
///
/// ```compile_fail,E0308
/// use aquifer_shared::domain::law::{Allowed, witness::{Person, Query, Score}};
/// fn score(allowed: Allowed<Score, Person>) {}
/// fn around(allowed: Allowed<Query, Person>) { score(allowed) }
/// ```
///
/// ```compile_fail,E0308
/// use aquifer_shared::domain::law::{Allowed, witness::{Release, Run, Train}};
/// fn publish(allowed: Allowed<Release, Run>) {}
/// fn around(allowed: Allowed<Train, Run>) { publish(allowed) }
/// ```
///
/// A run that is allowed makes nobody eligible:
///
/// ```compile_fail,E0308
/// use aquifer_shared::domain::law::{Allowed, witness::{Person, Run, Train}};
/// fn learn_from(allowed: Allowed<Train, Person>) {}
/// fn around(allowed: Allowed<Train, Run>) { learn_from(allowed) }
/// ```
///
/// A witness is used once, by whoever does what was allowed:
///
/// ```compile_fail,E0382
/// use aquifer_shared::domain::law::{Allowed, witness::{Release, Run}};
/// fn publish(allowed: Allowed<Release, Run>) {}
/// fn twice(allowed: Allowed<Release, Run>) { publish(allowed); publish(allowed) }
/// ```
///
/// No gate can be added from outside:
///
/// ```compile_fail,E0277
/// use aquifer_shared::domain::law::{Gate, witness::GateKind};
/// struct Anything;
/// impl GateKind for Anything { const GATE: Gate = Gate::Train; }
/// ```
///
/// And what is allowed does compile:
///
/// ```
/// use aquifer_shared::domain::law::{Allowed, Decision, Refused, witness::{Run, Train}};
/// fn train(allowed: Allowed<Train, Run>) {}
/// fn through(decision: Decision) -> Result<(), Refused> {
///     train(decision.allowed::<Train, Run>()?);
///     Ok(())
/// }
/// ```
#[cfg(doctest)]
pub mod l1_no_bypass {}
