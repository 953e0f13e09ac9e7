//! Inputs of predictions: see the library, which the HTTPS door uses as well. Their tests are here, beside the model that they need.

pub(crate) use aquifer_coordinator::core::scoring::{InputError, check, columns, is_unlisted};

#[cfg(test)]
mod tests {
    use super::*;
    use aquifer_shared::domain::predictor::prediction::Value;

    use crate::fixtures::ready;

    #[track_caller]
    fn check_columns(found: &[&str], expected: Result<Vec<Option<usize>>, &str>) {
        let ready = ready();
        let found: Vec<String> = found.iter().map(|name| (*name).to_owned()).collect();
        match (
            columns(&found, &ready.predictor, ready.contract.as_ref()),
            expected,
        ) {
            (Ok(places), Ok(expected)) => assert_eq!(places, expected),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn features_may_come_in_any_order_or_not() {
        check_columns(&["plan", "tenure"], Ok(vec![Some(1), Some(0)]));
        check_columns(&["plan"], Ok(vec![None, Some(0)]));
        check_columns(&[], Ok(vec![None, None]));
    }

    #[test]
    fn columns_that_name_customers_are_refused() {
        for name in [
            "customer_no",
            "CustomerNo",
            "customer_id",
            "E-Mail",
            "id",
            "Name",
        ] {
            check_columns(&["tenure", name], Err("names single customers"));
        }
        check_columns(&["x", "customer_no"], Err("names single customers"));
    }

    #[test]
    fn without_the_contract_nothing_but_features_passes() {
        let ready = ready();
        let told = |name: &str| {
            let found = ["tenure".to_owned(), name.to_owned()];
            columns(&found, &ready.predictor, None).map_err(|error| error.to_string())
        };
        assert!(told("customer_no").unwrap_err().contains("is no feature"));
        assert!(
            told("email")
                .unwrap_err()
                .contains("names single customers")
        );
        assert!(told("plan").is_ok());
    }

    #[test]
    fn other_columns_are_refused() {
        check_columns(&["tenure", "left"], Err("\"left\" is no feature"));
        check_columns(&["tenure", "tenure"], Err("twice"));
    }

    #[test]
    fn a_row_in_place_of_a_heading_is_not_quoted() {
        check_columns(&["12", "plus"], Err("none of the 2 names"));
    }

    #[test]
    fn numbers_must_be_numbers_and_places_are_named() {
        let ready = ready();
        let meaning = &ready.predictor.meanings()[0];
        let checked =
            |value, row| check(value, meaning, "tenure", row).map_err(|error| error.to_string());
        for good in [
            Value::Missing,
            Value::Number(3.5),
            Value::Text(" 7 "),
            Value::Text(""),
        ] {
            assert_eq!(checked(good, None), Ok(()));
        }
        let told = checked(Value::Text("seven"), Some(12)).unwrap_err();
        assert_eq!(told, "row 12, column \"tenure\": the value is not a number");
    }

    #[test]
    fn unlisted_levels_are_told() {
        let ready = ready();
        let [tenure, plan] = ready.predictor.meanings() else {
            panic!("two features")
        };
        assert!(is_unlisted(Value::Text("gold"), plan));
        for fine in [Value::Text("plus"), Value::Text(" "), Value::Missing] {
            assert!(!is_unlisted(fine, plan));
        }
        assert!(!is_unlisted(Value::Number(7.0), tenure));
    }
}
