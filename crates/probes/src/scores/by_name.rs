//! How [`Scores`] are written: a map from the names of metrics to their numbers, in the order of the set.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Scores;
use crate::statistics::PerSequence;

impl Serialize for Scores {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Scores {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ByName)
    }
}

struct ByName;

impl<'de> Visitor<'de> for ByName {
    type Value = Scores;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from the names of metrics to their numbers")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scores, A::Error> {
        let (mut names, mut measured) = (Vec::new(), Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            if names.contains(&name) {
                return Err(A::Error::custom(format_args!("the metric `{name}` is in it twice")));
            }
            names.push(name);
            measured.push(map.next_value::<PerSequence>()?);
        }
        Ok(Scores { names: names.into(), measured })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::scores::ScoreSink;

    fn measured() -> Scores {
        let mut scores = Scores::new(&Metrics::from_names(["nll", "kl", "rank"]).unwrap());
        for (sequence, position, value) in [(3, 0, 0.1), (3, 1, 1.0 / 3.0), (4, 0, 1e-300)] {
            scores.row(sequence, position, &[Some(value), Some(2.0 * value), None]);
        }
        scores
    }

    #[test]
    fn scores_are_written_by_name_in_the_order_of_the_set_and_read_back_to_the_bit() {
        let json = serde_json::to_string(&measured()).unwrap();
        assert!(json.starts_with(r#"{"nll":{"sequences":{"3":{"count":2,"#), "{json}");
        let places: Vec<_> = ["\"nll\"", "\"kl\"", "\"rank\""].map(|name| json.find(name).unwrap()).into();
        assert!(places.is_sorted(), "{json}");
        assert_eq!(serde_json::from_str::<Scores>(&json).unwrap(), measured());
    }

    #[test]
    fn a_metric_that_stands_there_twice_is_refused() {
        let twice = serde_json::from_str::<Scores>(r#"{"kl": {"sequences": {}}, "kl": {"sequences": {}}}"#);
        assert!(twice.unwrap_err().to_string().starts_with("the metric `kl` is in it twice"));
    }

    #[test]
    fn scores_by_position_are_refused() {
        let old = r#"{"metrics": [{"sequences": {}}, {"sequences": {}}]}"#;
        assert!(serde_json::from_str::<Scores>(old).is_err());
    }
}
