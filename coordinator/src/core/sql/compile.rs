//! A select into a canonical question, its price, and how its answer is shown.

use super::literal::{ParameterKind, Parameters};
use super::output::Presentation;
use super::outputs::Outputs;
use super::reading::{Reading, blocks};
use super::refusal::{Refusal, Rule};
use super::scope::Scope;
use super::settings::Settings;
use super::syntax::{Select, Term, Wish, WishValue, Wrapped};
use aquifer_shared::base::decimal::Decimal;
use aquifer_shared::base::ids::Hash32;
use aquifer_shared::base::limits::{
    AGGREGATES_MAX, ANSWER_VALUES_MAX, QUESTION_CELLS_MAX, QUESTION_KEYS_MAX, URHO_MAX,
};
use aquifer_shared::base::units::{Delta, Epsilon, MicroRho};
use aquifer_shared::domain::contract::{Contract, Published};
use aquifer_shared::domain::question::{Filter, Key, Layout, Question, groups_max, plan_id};
use aquifer_shared::protocol::codec::encode;

/// A question with everything that its statement says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// The canonical question.
    pub question: Question,
    /// Its identity under this contract.
    pub plan: Hash32,
    /// What it may cost.
    pub price: PriceWish,
    /// How its answer is shown.
    pub presentation: Presentation,
    /// What bound parameters are taken for, by number.
    pub parameters: Vec<ParameterKind>,
    /// The settings that it was compiled with.
    pub settings: Settings,
}

/// What a statement may cost, as its text or its session says it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum PriceWish {
    /// The owner's usual price.
    #[default]
    Usual,
    /// This much.
    Rho(MicroRho),
    /// As much as this epsilon is at this delta, or at the delta of the standing study.
    Epsilon(Epsilon, Option<Delta>),
    /// This part of what is left of the analyst's share.
    Share(f64),
}

/// Smallest price of one fresh statement, in micro-rho.
pub const PRICE_MIN: MicroRho = MicroRho(10);

impl Query {
    /// Why the data may be used.
    ///
    /// # Errors
    ///
    /// The session has not set it.
    pub fn purpose(&self) -> Result<&str, Refusal> {
        self.settings.purpose.as_deref().ok_or_else(|| {
            Refusal::of_all(
                "55000",
                Rule::Purpose,
                "no purpose is stated",
                "SET aquifer.purpose = '...'",
            )
        })
    }

    /// Whether no rows are wanted, so that only the names of the columns matter and nothing is asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.presentation.is_empty()
    }
}

pub(super) fn query(
    wrapped: &Wrapped,
    settings: &Settings,
    contract: &Contract,
    mut parameters: Parameters<'_>,
) -> Result<Query, Refusal> {
    let select = &wrapped.select;
    let scope = Scope::new(contract, &select.table, select.alias.as_ref())?;
    let wishes = Wishes::read(&select.options, &scope)?;
    let keys = keys(select, &scope, &mut parameters)?;
    let mut outputs = Outputs::new(&scope, keys.clone());
    for item in &select.items {
        outputs.item(item, &mut parameters)?;
    }
    if !outputs.has_aggregate() {
        return Err(no_aggregate(select.position));
    }
    let filter = match &select.filter {
        Some(condition) => scope.filter(condition, false, &mut parameters)?,
        None => Filter::All,
    };
    let presentation = outputs.presentation(wrapped, settings, &mut parameters)?;
    let readings = &presentation.readings;
    if readings.len() > AGGREGATES_MAX {
        return Err(too_many(
            "aggregates",
            readings.len(),
            AGGREGATES_MAX,
            select.position,
        ));
    }
    let question = question(&scope, keys, filter, readings, &wishes, select.position)?;
    question.check(contract).map_err(|broken| {
        Refusal::at(
            select.position,
            "54001",
            Rule::Limits,
            broken.to_string(),
            "ask for less at a time",
        )
    })?;
    let groups = Layout::of(&question, scope.table).map_or(1, |layout| layout.groups());
    let values = groups.saturating_mul(presentation.width());
    if values > ANSWER_VALUES_MAX {
        return Err(too_many(
            "values in the answer",
            values,
            ANSWER_VALUES_MAX,
            select.position,
        ));
    }
    Ok(Query {
        plan: plan_id(&contract.hash(), &encode(&question)),
        question,
        price: wishes.price(settings),
        presentation,
        parameters: named_kinds(&parameters)?,
        settings: settings.clone(),
    })
}

fn question(
    scope: &Scope<'_>,
    mut keys: Vec<Key>,
    filter: Filter,
    readings: &[Reading],
    wishes: &Wishes,
    position: usize,
) -> Result<Question, Refusal> {
    keys.sort_unstable();
    let mut question = Question {
        table: scope.table.name.clone(),
        keys,
        filter,
        groups_max: 1,
        blocks: blocks(readings, scope.table),
    };
    let layout = Layout::of(&question, scope.table);
    let cells = layout.as_ref().map_or(usize::MAX, Layout::cells);
    if cells > QUESTION_CELLS_MAX {
        return Err(too_many("cells", cells, QUESTION_CELLS_MAX, position));
    }
    let groups = layout.map_or(1, |layout| layout.groups());
    let most = groups_max(scope.table, groups);
    question.groups_max = wishes.groups.map_or(most, |groups| groups.min(most));
    Ok(question)
}

/// The distinct keys of `GROUP BY`, in its order.
fn keys(
    select: &Select,
    scope: &Scope<'_>,
    parameters: &mut Parameters<'_>,
) -> Result<Vec<Key>, Refusal> {
    let mut keys = Vec::new();
    for (term, position) in &select.keys {
        let meant = meant(term, select, scope)?;
        let key = scope.key(meant, parameters)?;
        let key = key.ok_or_else(|| no_key(meant, *position))?;
        if !keys.contains(&key) {
            keys.push(key);
        }
        if keys.len() > QUESTION_KEYS_MAX {
            return Err(too_many(
                "group keys",
                select.keys.len(),
                QUESTION_KEYS_MAX,
                *position,
            ));
        }
    }
    Ok(keys)
}

/// The item that a term of `GROUP BY` points to: by its place, or by its name where no column has that.
fn meant<'s>(term: &'s Term, select: &'s Select, scope: &Scope<'_>) -> Result<&'s Term, Refusal> {
    match term {
        Term::Place(place, position) => {
            let item = place
                .checked_sub(1)
                .and_then(|place| select.items.get(place));
            item.map(|item| &item.term)
                .ok_or_else(|| no_place(*position, select.items.len()))
        }
        Term::Column(column) if column.table.is_empty() && scope.known(&column.name).is_none() => {
            let named = select.items.iter().find(|item| {
                let alias = item.alias.as_ref().map(|alias| alias.text.as_str());
                super::names::find(&column.name, alias.into_iter()).is_some()
            });
            Ok(named.map_or(term, |item| &item.term))
        }
        other => Ok(other),
    }
}

fn no_key(term: &Term, position: usize) -> Refusal {
    if matches!(term, Term::Aggregate(_)) {
        return Refusal::at(
            position,
            "42803",
            Rule::Grouping,
            "an aggregate cannot be grouped by",
            "group by keys, dates or buckets",
        );
    }
    Refusal::at(
        position,
        "42804",
        Rule::Types,
        "a number has too many values to be grouped by",
        "write GROUP BY width_bucket(column, low, high, count)",
    )
}

pub(super) fn no_place(position: usize, items: usize) -> Refusal {
    Refusal::at(
        position,
        "42P10",
        Rule::Names,
        "there is no output at this place",
        format!("write a place from 1 to {items}"),
    )
}

fn no_aggregate(position: usize) -> Refusal {
    Refusal::at(
        position,
        "42803",
        Rule::Grouping,
        "nothing is counted or added up",
        "select at least one aggregate, such as COUNT(*)",
    )
}

fn too_many(what: &str, found: usize, most: usize, position: usize) -> Refusal {
    let message = match found {
        usize::MAX => format!("far too many {what}"),
        _ => format!("{found} {what}"),
    };
    Refusal::at(
        position,
        "54001",
        Rule::Limits,
        message,
        format!("ask for at most {most} {what} at a time"),
    )
}

fn named_kinds(parameters: &Parameters<'_>) -> Result<Vec<ParameterKind>, Refusal> {
    let kinds = parameters.kinds.iter().copied();
    let kinds: Option<Vec<ParameterKind>> = kinds.collect();
    kinds.ok_or_else(|| {
        Refusal::of_all(
            "42P18",
            Rule::Grammar,
            "a parameter is left out",
            "number parameters $1, $2 and so on without gaps",
        )
    })
}

/// What `OPTIONS` says.
#[derive(Default)]
struct Wishes {
    rho: Option<MicroRho>,
    epsilon: Option<Epsilon>,
    delta: Option<Delta>,
    groups: Option<u32>,
}

impl Wishes {
    fn read(options: &[Wish], scope: &Scope<'_>) -> Result<Self, Refusal> {
        let mut wishes = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for option in options {
            let name = option.name.text.to_ascii_lowercase();
            if seen.contains(&name) {
                return Err(wrong(option, "is given twice", "give it once"));
            }
            wishes.one(&name, option, scope.table)?;
            seen.push(name);
        }
        let priced = wishes.rho.is_some() && wishes.epsilon.is_some();
        if let (true, Some(option)) = (priced, options.first()) {
            return Err(wrong(
                option,
                "and epsilon exclude each other",
                "give rho or epsilon",
            ));
        }
        if let (Some(_), None, Some(option)) = (wishes.delta, wishes.epsilon, options.first()) {
            return Err(wrong(
                option,
                "stands without epsilon",
                "give epsilon as well",
            ));
        }
        Ok(wishes)
    }

    fn one(&mut self, name: &str, option: &Wish, table: &Published) -> Result<(), Refusal> {
        let number = || match &option.value {
            WishValue::Number(number, _) => Ok(*number),
            WishValue::Name(_) => Err(wrong(option, "is no number", "write a number")),
        };
        match name {
            "rho" => {
                let expected = "write a number from 0.00001 to 1000000";
                let urho = micro(number()?).filter(|urho| (PRICE_MIN.0..=URHO_MAX).contains(urho));
                let urho = urho.ok_or_else(|| wrong(option, "is out of range", expected))?;
                self.rho = Some(MicroRho(urho));
            }
            "epsilon" => {
                let epsilon = Epsilon::try_from(number()?.to_f64());
                let expected = "write a number above 0 and at most 64";
                self.epsilon =
                    Some(epsilon.map_err(|_| wrong(option, "is out of range", expected))?);
            }
            "delta" => {
                let delta = Delta::try_from(number()?.to_f64());
                let expected = "write a number above 0 and at most 0.01";
                self.delta = Some(delta.map_err(|_| wrong(option, "is out of range", expected))?);
            }
            "max_groups_contributed" => {
                let most = table.groups_per_unit_max;
                let groups = number()?
                    .units_at(0)
                    .and_then(|groups| u32::try_from(groups).ok());
                let groups = groups.filter(|groups| (1..=most).contains(groups));
                let expected = format!("write a whole number from 1 to {most}");
                self.groups =
                    Some(groups.ok_or_else(|| wrong(option, "is out of range", &expected))?);
            }
            "privacy_unit_column" => {
                let unit = [table.privacy_unit.as_str()];
                let fits = match &option.value {
                    WishValue::Name(found) => super::names::find(found, unit.into_iter()).is_some(),
                    WishValue::Number(..) => false,
                };
                let expected = format!("write {:?}", table.privacy_unit);
                fits.then_some(())
                    .ok_or_else(|| wrong(option, "is not that of the contract", &expected))?;
            }
            _ => {
                let hint =
                    "write epsilon, delta, rho, max_groups_contributed or privacy_unit_column";
                return Err(wrong(option, "is no option", hint));
            }
        }
        Ok(())
    }

    fn price(&self, settings: &Settings) -> PriceWish {
        match (self.rho, self.epsilon, settings.rho_share) {
            (Some(rho), ..) => PriceWish::Rho(rho),
            (None, Some(epsilon), _) => PriceWish::Epsilon(epsilon, self.delta),
            (None, None, Some(share)) => PriceWish::Share(share),
            (None, None, None) => PriceWish::Usual,
        }
    }
}

/// Millionths, rounded up.
fn micro(rho: Decimal) -> Option<u64> {
    let exact = rho.units_at(6).and_then(|units| u64::try_from(units).ok());
    exact.or_else(|| {
        let above = (rho.to_f64() * 1e6).ceil();
        (0.0..=URHO_MAX as f64)
            .contains(&above)
            .then_some(above as u64)
    })
}

fn wrong(option: &Wish, what: &str, hint: &str) -> Refusal {
    let name: String = option.name.text.chars().take(40).collect();
    let (state, position) = match (&option.value, what) {
        (_, "is no option") => ("42704", option.name.position),
        (WishValue::Number(_, position), _) => ("22023", *position),
        (WishValue::Name(name), _) => ("22023", name.position),
    };
    let message = format!("{name} {what}");
    Refusal::at(position, state, Rule::Settings, message, hint)
}
