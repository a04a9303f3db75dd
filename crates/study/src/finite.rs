//! Numbers of the findings that are not finite are refused, with where they are: [`curve`], [`matrix`], [`value`].
//!
//! NaN without replicates stands for a point that has no value, such as a group without positions.

use stratigraph_profile::{Curve, Estimate, Matrix};

use crate::{Result, StudyError};

/// Refuses infinite numbers, and NaN that was computed from replicates.
pub(crate) fn curve(name: &str, curve: &Curve) -> Result<()> {
    for (point, &mean) in curve.mean.iter().enumerate() {
        let replicates = curve.replicates.get(point).map_or(&[][..], Vec::as_slice);
        let sem = curve.sem.get(point).copied().flatten().filter(|sem| sem.is_infinite());
        let broken = replicates.iter().copied().find(|replicate| !replicate.is_finite());
        let broken = broken.or(sem).or((mean.is_infinite() || mean.is_nan() && !replicates.is_empty()).then_some(mean));
        if let Some(value) = broken {
            return Err(refused("curve", name, curve.axis.label(point), value));
        }
    }
    Ok(())
}

/// Refuses infinite numbers.
pub(crate) fn matrix(name: &str, matrix: &Matrix) -> Result<()> {
    for numbers in [&matrix.values, &matrix.sem] {
        let mut cells = numbers
            .iter()
            .enumerate()
            .flat_map(|(row, of_row)| of_row.iter().enumerate().map(move |(column, &value)| (row, column, value)));
        if let Some((row, column, value)) = cells.find(|(.., value)| value.is_infinite()) {
            let at = format!("{} and {}", matrix.rows.label(row), matrix.columns.label(column));
            return Err(refused("matrix", name, at, value));
        }
    }
    Ok(())
}

/// Refuses infinite numbers.
pub(crate) fn value(name: &str, value: Estimate) -> Result<()> {
    let numbers = [Some(value.mean), value.sem];
    match numbers.into_iter().flatten().find(|number| number.is_infinite()) {
        Some(number) => Err(refused("value", name, "the corpus".to_owned(), number)),
        None => Ok(()),
    }
}

fn refused(what: &'static str, name: &str, at: String, value: f64) -> StudyError {
    StudyError::NotFinite { what, name: name.to_owned(), at, value }
}

#[cfg(test)]
mod tests {
    use stratigraph_profile::{Axis, ReplicateUnit, Unit};

    use super::*;

    #[test]
    fn what_is_not_finite_is_named_with_its_point() {
        let of = |mean: [f64; 2], replicates: Vec<Vec<f64>>| {
            Curve::new(Axis::layers(2), Unit::Nats, mean.to_vec()).with_replicates(ReplicateUnit::Windows, replicates)
        };
        let message = |it: Curve| curve("mine", &it).unwrap_err().to_string();
        assert!(message(of([1.0, f64::INFINITY], vec![])).contains("the curve `mine` is inf at layer 1"));
        let nan = vec![vec![1.0, f64::NAN], vec![]];
        assert!(message(of([f64::NAN, 1.0], nan)).contains("NaN at layer 0"));
        assert!(message(of([f64::NAN, 1.0], vec![vec![1.0], vec![1.0]])).contains("NaN at layer 0"));
        curve("mine", &of([f64::NAN, 1.0], vec![vec![], vec![1.0]])).unwrap();
        let wide = |value: f64| Matrix::new(Axis::layers(1), Axis::heads(2), Unit::Nats, vec![vec![f64::NAN, value]]);
        matrix("mine", &wide(0.5)).unwrap();
        let error = matrix("mine", &wide(f64::NEG_INFINITY)).unwrap_err().to_string();
        assert!(error.contains("the matrix `mine` is -inf at layer 0 and head 1"), "{error}");
        value("mine", Estimate::exact(f64::NAN)).unwrap();
        assert!(value("mine", Estimate::new(1.0, Some(f64::INFINITY))).is_err());
    }
}
