//! The synthetic company: eight units of a telephone company, with churn drawn from a known probability.
//!
//! A customer's features are drawn first, mildly differently at each unit (tenure, contracts, use of data). Then the
//! true log-odds are the sum of one term per feature (`log_odds`) and one small interaction, and the label is drawn with
//! that probability. So the best possible predictor is known: the true probability itself. Customer `i` depends on
//! the seed and on `i` alone.

use aquifer_shared::domain::contract::Contract;

use crate::company::{Company, Customer};
use crate::random::Seeded;

/// Customers of the demo.
pub const CUSTOMERS: usize = 40_000;
/// Seed of the demo.
pub const SEED: u64 = 20_261_124;

const UNITS: [&str; 8] = [
    "north", "south", "east", "west", "coast", "lakes", "hills", "city",
];
/// Sizes of the units, in proportion.
const SIZES: [f64; 8] = [5.0, 6.0, 4.0, 5.0, 4.0, 3.0, 4.0, 9.0];
const CONTRACTS: [&str; 3] = ["month", "one year", "two years"];
const PAYMENTS: [&str; 4] = ["invoice", "card", "direct debit", "wallet"];
const PRODUCTS: [&str; 4] = ["basic", "plus", "premium", "family"];
const CHANNELS: [&str; 4] = ["shop", "web", "partner", "phone"];

/// The contract of the synthetic company.
pub const CONTRACT: &str = r#"[contract]
name = "customers"
version = 1
multiplicity = 1

[table.customers]
privacy_unit = "customer_id"
label = { column = "churned", positive = "yes" }

[table.customers.column.tenure]
low = 0
high = 120
transform = "linear"
unit = "months"

[table.customers.column.monthly_charge]
low = 0
high = 150
transform = "linear"
unit = "euro"

[table.customers.column.support_calls]
low = 0
high = 20
transform = "log1p"
unit = "calls in 90 days"

[table.customers.column.data_use]
low = 0
high = 500
transform = "log1p"
unit = "GB a month"

[table.customers.column.late_payments]
low = 0
high = 12
transform = "linear"
unit = "in 12 months"

[table.customers.column.age]
low = 18
high = 100
transform = "linear"
unit = "years"

[table.customers.column.balance]
low = -2000
high = 5000
transform = "signed_log1p"
unit = "euro"

[table.customers.column.days_since_contact]
low = 0
high = 730
transform = "log1p"
unit = "days"

[table.customers.column.contract]
levels = ["month", "one year", "two years"]

[table.customers.column.payment]
levels = ["invoice", "card", "direct debit", "wallet"]

[table.customers.column.product]
levels = ["basic", "plus", "premium", "family"]

[table.customers.column.channel]
levels = ["shop", "web", "partner", "phone"]
"#;

/// What is known about a customer before the label is drawn.
struct Features {
    tenure: f64,
    monthly_charge: f64,
    support_calls: u32,
    data_use: Option<f64>,
    late_payments: u32,
    age: f64,
    balance: f64,
    days_since_contact: f64,
    contract: usize,
    payment: usize,
    product: usize,
    channel: usize,
}

/// The company of a seed, with this many customers; about a third of them are held out.
#[must_use]
pub fn company(seed: u64, customers: usize) -> Company {
    Company {
        name: "synthetic".to_owned(),
        contract: Contract::parse(CONTRACT).expect("the contract is fixed and tested"),
        units: UNITS.iter().map(|unit| (*unit).to_owned()).collect(),
        customers: (0..customers).map(|index| customer(seed, index)).collect(),
    }
}

fn customer(seed: u64, index: usize) -> Customer {
    let mut random = Seeded::new(seed, index as u64);
    let unit = random.pick(&SIZES);
    let features = draw(&mut random, unit);
    let truth = 1.0 / (1.0 + (-log_odds(&features)).exp());
    let churned = random.uniform() < truth;
    Customer {
        id: format!("C{index:06}"),
        unit,
        held_out: random.uniform() < 0.35,
        label: if churned { "yes" } else { "no" }.to_owned(),
        values: features.values(),
        truth: Some(truth),
    }
}

fn draw(random: &mut Seeded, unit: usize) -> Features {
    // −1 for the first unit, 1 for the last: newer customers, looser contracts, more data.
    let modern = unit as f64 / 3.5 - 1.0;
    let tenure = random.exponential(42.0 - 8.0 * modern).min(120.0).floor();
    let contract = random.pick(&[1.2 + 0.3 * modern, 0.7, 0.6 - 0.2 * modern]);
    let product = random.pick(&[1.0, 0.9, 0.4, 0.5]);
    let price = [22.0, 38.0, 65.0, 54.0][product];
    let monthly_charge = (price + 9.0 * random.normal()).clamp(5.0, 150.0);
    let support_calls = random.poisson(if product == 2 { 0.8 } else { 1.3 }).min(20);
    let data_use = (2.4 + 0.4 * modern + 1.1 * random.normal())
        .exp()
        .min(500.0);
    let data_use = (random.uniform() > 0.03).then_some(data_use);
    let payment = random.pick(&[0.7, 1.0, 1.1, 0.4]);
    let late_payments = random.poisson(if payment == 0 { 1.1 } else { 0.4 }).min(12);
    Features {
        tenure,
        monthly_charge,
        support_calls,
        data_use,
        late_payments,
        age: (46.0 - 5.0 * modern + 15.0 * random.normal())
            .clamp(18.0, 100.0)
            .floor(),
        balance: (60.0 - 90.0 * f64::from(late_payments) + 200.0 * random.normal())
            .clamp(-2_000.0, 5_000.0),
        days_since_contact: random.exponential(120.0).min(730.0).floor(),
        contract,
        payment,
        product,
        channel: random.pick(&[0.8, 1.0, 0.5, 0.6]),
    }
}

/// The true log-odds of churn.
fn log_odds(customer: &Features) -> f64 {
    let tenure = 1.9 * (-customer.tenure / 18.0).exp() - 0.5;
    let charge = 0.9 / (1.0 + (-(customer.monthly_charge - 62.0) / 8.0).exp());
    let calls = 0.5 * f64::from(customer.support_calls.min(6)).sqrt() * 1.3 - 0.6;
    let data = customer
        .data_use
        .map_or(0.4, |gb| -0.25 * ((gb + 1.0).ln() - 2.5));
    let late = 0.35 * f64::from(customer.late_payments.min(4));
    let age = 0.4 * ((customer.age - 48.0) / 18.0).powi(2).min(3.0) - 0.35;
    let balance = if customer.balance < -100.0 {
        0.35
    } else {
        -0.05
    };
    let contact = -0.3 * (-customer.days_since_contact / 60.0).exp();
    let contract = [0.9, -0.7, -1.9][customer.contract];
    let payment = [0.45, 0.0, -0.35, 0.3][customer.payment];
    let product = [0.1, 0.0, 0.15, -0.55][customer.product];
    let channel = [0.0, 0.15, 0.45, -0.2][customer.channel];
    let trapped = customer.contract == 0 && customer.monthly_charge > 60.0;
    let interaction = if trapped { 0.35 } else { 0.0 };
    -2.15
        + tenure
        + charge
        + calls
        + data
        + late
        + age
        + balance
        + contact
        + contract
        + payment
        + product
        + channel
        + interaction
}

impl Features {
    /// In the order of the contract.
    fn values(&self) -> Vec<String> {
        vec![
            self.tenure.to_string(),
            format!("{:.2}", self.monthly_charge),
            self.support_calls.to_string(),
            self.data_use.map_or(String::new(), |gb| format!("{gb:.1}")),
            self.late_payments.to_string(),
            self.age.to_string(),
            format!("{:.2}", self.balance),
            self.days_since_contact.to_string(),
            CONTRACTS[self.contract].to_owned(),
            PAYMENTS[self.payment].to_owned(),
            PRODUCTS[self.product].to_owned(),
            CHANNELS[self.channel].to_owned(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exact::auc;

    #[test]
    fn the_company_is_the_one_that_texts_describe() {
        let company = company(SEED, CUSTOMERS);
        let positive = company
            .customers
            .iter()
            .filter(|c| company.is_positive(c))
            .count();
        let rate = positive as f64 / CUSTOMERS as f64;
        assert!((0.15..0.3).contains(&rate), "churn rate {rate}");
        let scored = company
            .held_out()
            .map(|c| (c.truth.unwrap(), company.is_positive(c)));
        let best = auc(&scored.collect::<Vec<_>>()).unwrap();
        assert!((0.82..0.88).contains(&best), "best AUC {best}");
        assert!((0..8).all(|unit| company.of_unit(unit).count() > 2_000));
    }

    #[test]
    fn values_are_those_of_the_contract() {
        let company = company(1, 2_000);
        for (index, column) in company.contract.columns.iter().enumerate() {
            let missing = column.shape().1 - 1;
            let unknown = company.customers.iter().filter(|customer| {
                let value = customer.values[index].as_str();
                column.cell_of_text(Some(value)) == missing
            });
            let allowed = if column.name == "data_use" { 120 } else { 0 };
            assert!(unknown.count() <= allowed, "{}", column.name);
        }
    }

    #[test]
    fn a_seed_fixes_the_company() {
        let (one, again, other) = (customer(1, 7), customer(1, 7), customer(2, 7));
        assert_eq!(one.values, again.values);
        assert_ne!(one.values, other.values);
    }
}
