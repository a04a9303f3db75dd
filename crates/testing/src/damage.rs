//! Files that are damaged at random: [`Damage`], [`any_damage`].

use proptest::prelude::*;

/// One change of bytes near a place, which is taken modulo the length of the part that may change.
#[derive(Debug, Clone)]
pub enum Damage {
    /// A bit is flipped.
    Flip(usize, u8),
    /// Other bytes are there.
    Write(usize, Vec<u8>),
    /// The file ends there.
    Cut(usize),
    /// This many bytes are repeated.
    Double(usize, usize),
    /// This many bytes are missing there.
    Remove(usize, usize),
}

impl Damage {
    /// Damages the first `within` bytes.
    pub fn apply(&self, bytes: &mut Vec<u8>, within: usize) {
        let within = within.min(bytes.len()).max(1);
        if bytes.is_empty() {
            return;
        }
        match self {
            Damage::Flip(at, bit) => bytes[at % within] ^= 1 << bit,
            Damage::Write(at, new) => {
                let at = at % within;
                let end = (at + new.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&new[..end - at]);
            }
            Damage::Cut(at) => bytes.truncate(at % within),
            Damage::Double(at, n) => {
                let at = at % within;
                let part = bytes[at..(at + n).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Damage::Remove(at, n) => {
                let at = at % within;
                bytes.drain(at..(at + n).min(bytes.len()));
            }
        }
    }
}

/// Any damage, with the numbers that files of sizes and offsets lie with.
pub fn any_damage() -> impl Strategy<Value = Damage> {
    let at = 0usize..1_000_000;
    let number =
        prop_oneof![Just(u64::MAX), Just(1 << 63), Just(1 << 40), Just(u64::from(u32::MAX)), any::<u64>(), 0u64..100,];
    prop_oneof![
        4 => (at.clone(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        3 => (at.clone(), number).prop_map(|(at, n)| Damage::Write(at, n.to_le_bytes().to_vec())),
        2 => (at.clone(), "[0-9]{1,20}").prop_map(|(at, digits)| Damage::Write(at, digits.into_bytes())),
        1 => at.clone().prop_map(Damage::Cut),
        1 => (at.clone(), 1usize..200).prop_map(|(at, n)| Damage::Double(at, n)),
        1 => (at, 1usize..40).prop_map(|(at, n)| Damage::Remove(at, n)),
    ]
}

/// Any JSON value of a few levels: numbers of every size, and the words of model configurations.
pub fn any_json() -> impl Strategy<Value = serde_json::Value> {
    use serde_json::{Value, json};
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3i64..70).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop::sample::select(vec![0.0, -1.0, 0.3, 1e-300, 1e300, 2147483647.0, 2147483648.0]).prop_map(Value::from),
        prop::sample::select(vec!["gelu", "silu", "llama3", "full_attention", "float16", "x"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        let keys = prop::sample::select(vec!["rope_type", "factor", "rope_theta", "full_attention", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys, inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// Puts a value in place of one anywhere inside of another, which `place` chooses.
pub fn replace_somewhere(value: &mut serde_json::Value, place: usize, new: serde_json::Value) {
    let mut place = place;
    if let Some(found) = nth(value, &mut place) {
        *found = new;
    }
}

/// How many values there are in one, itself included.
pub fn n_values(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    1 + match value {
        Value::Array(values) => values.iter().map(n_values).sum(),
        Value::Object(values) => values.values().map(n_values).sum::<usize>(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut serde_json::Value, place: &mut usize) -> Option<&'a mut serde_json::Value> {
    use serde_json::Value;
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(values) => values.iter_mut().find_map(|inner| nth(inner, place)),
        Value::Object(values) => values.values_mut().find_map(|inner| nth(inner, place)),
        _ => None,
    }
}

/// How many inputs a test of damaged files tries: 1,000, or as `STRATIGRAPH_MUTATIONS` says.
///
/// # Panics
/// When the variable is not a number.
pub fn n_mutations() -> u32 {
    let given = std::env::var("STRATIGRAPH_MUTATIONS").ok();
    given.map_or(1000, |n| n.parse().unwrap_or_else(|_| panic!("STRATIGRAPH_MUTATIONS is not a number: {n}")))
}
