//! Functions that clients of PostgreSQL call on the catalogue. Arrays are texts, as PostgreSQL writes them.

use aquifer_shared::base::limits::CATALOGUE_VALUE_BYTES_MAX;
use aquifer_shared::protocol::ask::{AnswerKind, AnswerValue};

use super::book::{Book, OWNER};
use super::{system, types};

/// A value that no function takes, or that is too long to be one.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoResult {
    /// There is no such function.
    #[error("there is no such function")]
    Unknown,
    /// The result is too long.
    #[error("a text of the catalogue statement has more than {CATALOGUE_VALUE_BYTES_MAX} bytes")]
    TooLong,
}

use AnswerKind::{Text, Truth, Whole};

/// Every function, and what its results are.
pub const FUNCTIONS: [(&str, AnswerKind); 96] = [
    ("aq_array_has", Truth),
    ("aq_concat", Text),
    ("aq_element", Text),
    ("aq_like", Truth),
    ("aq_regclass", Text),
    ("aq_regclass_oid", Whole),
    ("aq_regnamespace", Text),
    ("aq_regproc", Text),
    ("aq_regrole", Text),
    ("aq_regtype", Text),
    ("array_length", Whole),
    ("array_lower", Whole),
    ("array_to_string", Text),
    ("array_upper", Whole),
    ("cardinality", Whole),
    ("col_description", Text),
    ("concat", Text),
    ("concat_ws", Text),
    ("format", Text),
    ("format_type", Text),
    ("getdatabaseencoding", Text),
    ("has_any_column_privilege", Truth),
    ("has_column_privilege", Truth),
    ("has_database_privilege", Truth),
    ("has_function_privilege", Truth),
    ("has_language_privilege", Truth),
    ("has_schema_privilege", Truth),
    ("has_sequence_privilege", Truth),
    ("has_server_privilege", Truth),
    ("has_table_privilege", Truth),
    ("has_tablespace_privilege", Truth),
    ("has_type_privilege", Truth),
    ("inet_client_addr", Text),
    ("inet_server_addr", Text),
    ("inet_server_port", Whole),
    ("json_build_array", Text),
    ("json_build_object", Text),
    ("obj_description", Text),
    ("pg_backend_pid", Whole),
    ("pg_char_to_encoding", Whole),
    ("pg_client_encoding", Text),
    ("pg_collation_is_visible", Truth),
    ("pg_conversion_is_visible", Truth),
    ("pg_database_size", Whole),
    ("pg_encoding_to_char", Text),
    ("pg_function_is_visible", Truth),
    ("pg_get_constraintdef", Text),
    ("pg_get_expr", Text),
    ("pg_get_function_arguments", Text),
    ("pg_get_function_identity_arguments", Text),
    ("pg_get_function_result", Text),
    ("pg_get_function_sqlbody", Text),
    ("pg_get_functiondef", Text),
    ("pg_get_indexdef", Text),
    ("pg_get_partition_constraintdef", Text),
    ("pg_get_partkeydef", Text),
    ("pg_get_ruledef", Text),
    ("pg_get_serial_sequence", Text),
    ("pg_get_statisticsobjdef", Text),
    ("pg_get_statisticsobjdef_columns", Text),
    ("pg_get_triggerdef", Text),
    ("pg_get_userbyid", Text),
    ("pg_get_viewdef", Text),
    ("pg_has_role", Truth),
    ("pg_indexes_size", Whole),
    ("pg_is_in_recovery", Truth),
    ("pg_is_other_temp_schema", Truth),
    ("pg_my_temp_schema", Whole),
    ("pg_opclass_is_visible", Truth),
    ("pg_operator_is_visible", Truth),
    ("pg_opfamily_is_visible", Truth),
    ("pg_relation_is_publishable", Truth),
    ("pg_relation_size", Whole),
    ("pg_size_pretty", Text),
    ("pg_statistics_obj_is_visible", Truth),
    ("pg_table_is_visible", Truth),
    ("pg_table_size", Whole),
    ("pg_tablespace_location", Text),
    ("pg_tablespace_size", Whole),
    ("pg_total_relation_size", Whole),
    ("pg_ts_config_is_visible", Truth),
    ("pg_ts_dict_is_visible", Truth),
    ("pg_ts_parser_is_visible", Truth),
    ("pg_ts_template_is_visible", Truth),
    ("pg_type_is_visible", Truth),
    ("quote_ident", Text),
    ("quote_literal", Text),
    ("replace", Text),
    ("row_security_active", Truth),
    ("shobj_description", Text),
    ("split_part", Text),
    ("to_regclass", Whole),
    ("to_regnamespace", Whole),
    ("to_regrole", Whole),
    ("to_regtype", Whole),
    ("txid_current", Whole),
];

/// The result of a function.
///
/// # Errors
///
/// There is no such function, or its result is too long.
pub fn call(name: &str, values: &[AnswerValue], book: &Book) -> Result<AnswerValue, NoResult> {
    let kind = FUNCTIONS.iter().find(|(own, _)| *own == name);
    let (_, kind) = kind.ok_or(NoResult::Unknown)?;
    let values = Values(values);
    Ok(match kind {
        Truth => truth_of(name, &values, book).map_or(AnswerValue::Null, AnswerValue::Truth),
        Whole => whole_of(name, &values, book).map_or(AnswerValue::Null, AnswerValue::Whole),
        _ => match text_of(name, &values, book) {
            Some(text) if text.len() > CATALOGUE_VALUE_BYTES_MAX => return Err(NoResult::TooLong),
            text => text.map_or(AnswerValue::Null, AnswerValue::Text),
        },
    })
}

/// What a function is called with.
struct Values<'a>(&'a [AnswerValue]);

impl Values<'_> {
    fn whole(&self, at: usize) -> Option<i64> {
        match self.0.get(at)? {
            AnswerValue::Whole(number) => Some(*number),
            AnswerValue::Number(number) => Some(*number as i64),
            AnswerValue::Text(text) => text.trim().parse().ok(),
            AnswerValue::Truth(_) | AnswerValue::Null => None,
        }
    }

    fn text(&self, at: usize) -> Option<String> {
        written(self.0.get(at)?)
    }

    /// The items of an array.
    fn items(&self, at: usize) -> Option<Vec<String>> {
        self.text(at).map(|text| items(&text))
    }
}

/// A value as text; none for none.
pub(super) fn written(value: &AnswerValue) -> Option<String> {
    Some(match value {
        AnswerValue::Null => return None,
        AnswerValue::Whole(number) => number.to_string(),
        AnswerValue::Number(number) => number.to_string(),
        AnswerValue::Text(text) => text.clone(),
        AnswerValue::Truth(truth) => truth.to_string(),
    })
}

/// The items of an array or a vector that is written as text.
pub(super) fn items(text: &str) -> Vec<String> {
    let inside = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let (inside, between) = match inside {
        Some(inside) => (inside, ','),
        None => (text, ' '),
    };
    let items = inside.split(between).filter(|item| !item.is_empty());
    items
        .map(|item| item.trim_matches('"').to_owned())
        .collect()
}

fn truth_of(name: &str, values: &Values<'_>, book: &Book) -> Option<bool> {
    let last = values.0.len().saturating_sub(1);
    Some(match name {
        "aq_array_has" => values.items(0)?.contains(&values.text(1)?),
        "aq_like" => {
            let escape = values.text(2).unwrap_or_else(|| "\\".to_owned());
            let (text, pattern) = (values.text(0)?, values.text(1)?);
            let folded = values.text(3).is_some();
            let fold = |text: String| if folded { text.to_lowercase() } else { text };
            super::rewrite::is_like(&fold(text), &fold(pattern), escape.chars().next())
        }
        "pg_table_is_visible" => {
            let oid = values.whole(0)?;
            let own = book.relation(oid).is_none_or(|own| own.schema == "public");
            own && book.relation_name(oid).is_some()
        }
        "pg_has_role" => true,
        "pg_is_in_recovery"
        | "pg_is_other_temp_schema"
        | "pg_relation_is_publishable"
        | "row_security_active" => false,
        _ if name.starts_with("has_") => {
            let wanted = values.text(last)?.to_lowercase();
            let granted = ["select", "usage", "connect", "execute"];
            granted.iter().any(|granted| wanted.contains(granted))
        }
        // Whatever else is asked about its place is in a schema that is searched.
        _ => true,
    })
}

fn whole_of(name: &str, values: &Values<'_>, book: &Book) -> Option<i64> {
    let named = |found: i64| (found != 0).then_some(found);
    match name {
        "aq_regclass_oid" | "to_regclass" => match values.whole(0) {
            Some(oid) => Some(oid),
            None => named(book.relation_oid(&values.text(0)?)),
        },
        "to_regtype" => types::named(&values.text(0)?).map(|own| own.oid),
        "to_regnamespace" => named(Book::schema_oid(&values.text(0)?)),
        "to_regrole" => {
            let wanted = values.text(0)?;
            let roles = book.roles();
            let found = roles.iter().find(|(_, name)| *name == wanted);
            found.map(|(oid, _)| *oid)
        }
        "array_lower" => values.items(0)?.first().map(|_| 1),
        "array_upper" | "array_length" => {
            let count = values.items(0)?.len() as i64;
            named(count)
        }
        "cardinality" => Some(values.items(0)?.len() as i64),
        "pg_char_to_encoding" => Some(6),
        "pg_backend_pid" | "pg_my_temp_schema" | "txid_current" => Some(0),
        // Sizes are never told.
        _ => None,
    }
}

fn text_of(name: &str, values: &Values<'_>, book: &Book) -> Option<String> {
    let first = || values.text(0);
    Some(match name {
        "format_type" => types::formatted(values.whole(0)?),
        "aq_regtype" => values
            .whole(0)
            .map_or_else(first, |oid| Some(types::formatted(oid)))?,
        "aq_regclass" => values
            .whole(0)
            .map_or_else(first, |oid| book.relation_name(oid))?,
        "aq_regnamespace" => {
            let schema = |oid| book.schema(oid).map(str::to_owned);
            values.whole(0).map_or_else(first, schema)?
        }
        "aq_regproc" => first()?.trim_start_matches("pg_catalog.").to_owned(),
        "aq_regrole" => values.whole(0).map_or_else(first, |oid| role(oid, book))?,
        "pg_get_userbyid" => role(values.whole(0)?, book).unwrap_or_else(|| OWNER.to_owned()),
        "pg_encoding_to_char" | "pg_client_encoding" | "getdatabaseencoding" => "UTF8".to_owned(),
        "obj_description" => described(values.whole(0)?, values.text(1), book)?,
        "col_description" => {
            let column = usize::try_from(values.whole(1)?).ok()?.checked_sub(1)?;
            let (_, _, comment) = book.relation(values.whole(0)?)?.columns.get(column)?;
            return Some(comment.clone()).filter(|comment| !comment.is_empty());
        }
        "pg_get_function_result" => system::PREDICT.1.to_owned(),
        "pg_get_function_arguments" | "pg_get_function_identity_arguments" => {
            system::PREDICT.2.to_owned()
        }
        "pg_get_viewdef" | "pg_tablespace_location" => String::new(),
        "pg_size_pretty" => format!("{} bytes", values.whole(0)?),
        "quote_ident" => quoted(&first()?),
        "quote_literal" => format!("'{}'", first()?.replace('\'', "''")),
        "aq_element" => {
            let place = usize::try_from(values.whole(1)?).ok()?.checked_sub(1)?;
            values.items(0)?.get(place)?.clone()
        }
        "array_to_string" => values.items(0)?.join(&values.text(1)?),
        "aq_concat" => format!("{}{}", first()?, values.text(1)?),
        "concat" => values.0.iter().filter_map(written).collect(),
        "concat_ws" => {
            let texts: Vec<String> = values.0.iter().skip(1).filter_map(written).collect();
            texts.join(&first()?)
        }
        "split_part" => {
            let place = usize::try_from(values.whole(2)?).ok()?.checked_sub(1)?;
            let (text, between) = (first()?, values.text(1)?);
            text.split(&*between)
                .nth(place)
                .unwrap_or_default()
                .to_owned()
        }
        "replace" => replaced(&first()?, &values.text(1)?, &values.text(2)?),
        "format" => formatted(values)?,
        "json_build_array" => {
            let items: Vec<String> = values.0.iter().map(json).collect();
            format!("[{}]", items.join(", "))
        }
        "json_build_object" => {
            let pairs = values.0.chunks(2).map(|pair| {
                let key = written(&pair[0]).unwrap_or_default();
                let value = pair.get(1).map_or_else(|| "null".to_owned(), json);
                format!("{} : {value}", json(&AnswerValue::Text(key)))
            });
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        // Nothing here has defaults, constraints, indexes, triggers, rules or sequences.
        _ => return None,
    })
}

fn role(oid: i64, book: &Book) -> Option<String> {
    let roles = book.roles().into_iter();
    roles
        .filter(|(own, _)| *own == oid)
        .map(|(_, name)| name)
        .next()
}

fn described(oid: i64, of: Option<String>, book: &Book) -> Option<String> {
    let of = of.unwrap_or_else(|| "pg_class".to_owned());
    match of.trim_start_matches("pg_catalog.") {
        "pg_class" => Some(book.relation(oid)?.comment.clone()),
        "pg_namespace" => system::schema_comment(oid).map(str::to_owned),
        "pg_proc" => (oid == system::PREDICT.0).then(|| system::PREDICT.3.to_owned()),
        _ => None,
    }
}

fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if starts && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Stops where the result is too long to be kept anyway.
fn replaced(text: &str, from: &str, to: &str) -> String {
    if from.is_empty() {
        return text.to_owned();
    }
    let times = text.matches(from).count();
    if times.saturating_mul(to.len()) > CATALOGUE_VALUE_BYTES_MAX {
        return " ".repeat(CATALOGUE_VALUE_BYTES_MAX + 1);
    }
    text.replace(from, to)
}

/// `%s`, `%I`, `%L` and `%%`.
fn formatted(values: &Values<'_>) -> Option<String> {
    let pattern = values.text(0)?;
    let (mut text, mut next, mut rest) = (String::new(), 1, pattern.chars());
    while let Some(c) = rest.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let value = values.text(next).unwrap_or_default();
        match rest.next()? {
            '%' => text.push('%'),
            's' => text += &value,
            'I' => text += &quoted(&value),
            'L' => text += &format!("'{}'", value.replace('\'', "''")),
            _ => return None,
        }
        next += usize::from(!text.ends_with('%'));
        if text.len() > CATALOGUE_VALUE_BYTES_MAX {
            break;
        }
    }
    Some(text)
}

fn json(value: &AnswerValue) -> String {
    match value {
        AnswerValue::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
        other => written(other).unwrap_or_else(|| "null".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::book::Shelf;
    use super::*;

    fn book() -> Book {
        Book::new(Shelf {
            user: "ada".into(),
            database: "aquifer".into(),
            version: "PostgreSQL 15.0".into(),
            tables: Vec::new(),
        })
    }

    #[track_caller]
    fn check(name: &str, values: &[AnswerValue], expected: AnswerValue) {
        assert_eq!(call(name, values, &book()), Ok(expected), "{name}");
    }

    fn text(text: &str) -> AnswerValue {
        AnswerValue::Text(text.into())
    }

    #[test]
    fn functions_say_what_postgresql_says() {
        check("format_type", &[AnswerValue::Whole(20)], text("bigint"));
        check("format_type", &[AnswerValue::Null], AnswerValue::Null);
        check("quote_ident", &[text("a b")], text("\"a b\""));
        check(
            "pg_get_userbyid",
            &[AnswerValue::Whole(10)],
            text("aquifer"),
        );
        check("to_regclass", &[text("pg_class")], AnswerValue::Whole(1259));
        check("to_regclass", &[text("no")], AnswerValue::Null);
        check(
            "array_to_string",
            &[text("{a,b}"), text("; ")],
            text("a; b"),
        );
        check(
            "array_upper",
            &[text("{}"), AnswerValue::Whole(1)],
            AnswerValue::Null,
        );
        check(
            "format",
            &[text("%I.%s%%"), text("A"), text("b")],
            text("\"A\".b%"),
        );
        check(
            "aq_concat",
            &[text("a"), AnswerValue::Null],
            AnswerValue::Null,
        );
        check(
            "aq_like",
            &[text("pg_x"), text("pg/_%"), text("/")],
            AnswerValue::Truth(true),
        );
        check(
            "has_table_privilege",
            &[text("t"), text("INSERT")],
            AnswerValue::Truth(false),
        );
        check(
            "json_build_object",
            &[text("a"), AnswerValue::Null],
            text("{\"a\" : null}"),
        );
    }

    #[test]
    fn there_are_no_others_and_texts_have_a_limit() {
        assert_eq!(call("pg_read_file", &[], &book()), Err(NoResult::Unknown));
        let long = text(&"x".repeat(CATALOGUE_VALUE_BYTES_MAX));
        let twice = call("aq_concat", &[long.clone(), long.clone()], &book());
        assert_eq!(twice, Err(NoResult::TooLong));
        let swollen = call("replace", &[long.clone(), text("x"), long], &book());
        assert_eq!(swollen, Err(NoResult::TooLong));
        assert!(FUNCTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
