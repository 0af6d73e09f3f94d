//! JSON as Convex's values and back. A Convex number is a float: its 64-bit integers are a type of their own, which
//! no function of the contract takes.

use convex::Value as ConvexValue;
use serde_json::{Map, Number, Value};
use thiserror::Error;

/// The largest integer that a float still tells from its neighbours.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// A value that the other side has no word for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Misfit {
    #[error("{0} is larger than what a number can hold exactly")]
    Integer(String),
    #[error("bytes are not JSON")]
    Bytes,
    #[error("{0} is not a JSON number")]
    Float(String),
}

pub(crate) fn to_convex(value: &Value) -> Result<ConvexValue, Misfit> {
    Ok(match value {
        Value::Null => ConvexValue::Null,
        Value::Bool(is) => ConvexValue::Boolean(*is),
        Value::Number(number) => ConvexValue::Float64(float(number)?),
        Value::String(text) => ConvexValue::String(text.clone()),
        Value::Array(items) => {
            ConvexValue::Array(items.iter().map(to_convex).collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => ConvexValue::Object(
            fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), to_convex(value)?)))
                .collect::<Result<_, Misfit>>()?,
        ),
    })
}

pub(crate) fn to_json(value: ConvexValue) -> Result<Value, Misfit> {
    Ok(match value {
        ConvexValue::Null => Value::Null,
        ConvexValue::Boolean(is) => Value::Bool(is),
        ConvexValue::Int64(number) => Value::from(number),
        ConvexValue::Float64(number) => Value::Number(json_number(number)?),
        ConvexValue::String(text) => Value::String(text),
        ConvexValue::Bytes(_) => return Err(Misfit::Bytes),
        ConvexValue::Array(items) => {
            Value::Array(items.into_iter().map(to_json).collect::<Result<_, _>>()?)
        }
        ConvexValue::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| Ok((name, to_json(value)?)))
                .collect::<Result<Map<_, _>, Misfit>>()?,
        ),
    })
}

fn float(number: &Number) -> Result<f64, Misfit> {
    let is_exact = match (number.as_i64(), number.as_u64()) {
        (Some(whole), _) => whole.unsigned_abs() <= INTEGER_MAX,
        (None, Some(whole)) => whole <= INTEGER_MAX,
        (None, None) => true,
    };
    number
        .as_f64()
        .filter(|_| is_exact)
        .ok_or_else(|| Misfit::Integer(number.to_string()))
}

/// Whole numbers become integers again, since the contract's types are read as such.
#[expect(
    clippy::cast_possible_truncation,
    reason = "checked to be whole and within the range"
)]
fn json_number(number: f64) -> Result<Number, Misfit> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is exact")]
    let is_whole = number.fract() == 0.0 && number.abs() <= INTEGER_MAX as f64;
    if is_whole {
        return Ok(Number::from(number as i64));
    }
    Number::from_f64(number).ok_or_else(|| Misfit::Float(number.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What is the same JSON for the contract: a whole float is an integer.
    fn normal(value: &Value) -> Value {
        match value {
            Value::Number(number) => number
                .as_f64()
                .and_then(|number| json_number(number).ok())
                .map_or(Value::Null, Value::Number),
            Value::Array(items) => items.iter().map(normal).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), normal(value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let most = i64::try_from(INTEGER_MAX).unwrap();
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-most..=most).prop_map(Value::from),
            prop::num::f64::NORMAL.prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn json_comes_back_as_it_went(value in any_json()) {
            let there = to_convex(&value).unwrap();
            prop_assert_eq!(to_json(there).unwrap(), normal(&value));
        }

        /// Also through the client's own encoding, which is what is on the wire.
        #[test]
        fn it_survives_the_wire(value in any_json()) {
            prop_assume!(!has_odd_names(&value));
            let wire = Value::from(to_convex(&value).unwrap()).to_string();
            let read = ConvexValue::try_from(serde_json::from_str::<Value>(&wire).unwrap()).unwrap();
            prop_assert_eq!(to_json(read).unwrap(), normal(&value));
        }
    }

    /// Names that Convex keeps to itself.
    fn has_odd_names(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(has_odd_names),
            Value::Object(fields) => fields
                .iter()
                .any(|(name, value)| name.starts_with('$') || has_odd_names(value)),
            Value::Null | Value::Bool(_) | Value::String(_) | Value::Number(_) => false,
        }
    }

    #[test]
    fn every_number_is_a_float_and_whole_ones_come_back_whole() {
        assert_eq!(to_convex(&json!(3)), Ok(ConvexValue::Float64(3.0)));
        assert_eq!(to_json(ConvexValue::Float64(3.0)), Ok(json!(3)));
        assert_eq!(to_json(ConvexValue::Float64(-0.0)), Ok(json!(0)));
        assert_eq!(to_json(ConvexValue::Float64(0.5)), Ok(json!(0.5)));
        assert_eq!(to_json(ConvexValue::Int64(7)), Ok(json!(7)));
    }

    #[test]
    fn nothing_is_rounded_in_silence() {
        assert!(to_convex(&json!(u64::MAX)).is_err());
        assert!(to_convex(&json!(i64::MIN)).is_err());
        assert!(to_convex(&json!(INTEGER_MAX)).is_ok());
        assert!(to_json(ConvexValue::Float64(f64::NAN)).is_err());
        assert!(to_json(ConvexValue::Bytes(vec![1])).is_err());
    }
}
