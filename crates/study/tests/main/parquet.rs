//! Tables of jobs, read back.

use std::fs::File;

use approx::abs_diff_eq;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use stratigraph_study::job::Shard;
use stratigraph_surgery::Intervention;

use crate::given::{Given, sweeps};

fn rows(path: &std::path::Path) -> Vec<Row> {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn columns(row: &Row) -> Vec<&str> {
    row.get_column_iter().map(|(name, _)| name.as_str()).collect()
}

fn field<'a>(row: &'a Row, column: &str) -> &'a Field {
    row.get_column_iter().find(|(name, _)| *name == column).unwrap().1
}

fn text(text: &str) -> Field {
    Field::Str(text.to_owned())
}

#[test]
fn windows_are_rows_named_like_interventions() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let twice: Intervention = "2-2".parse().unwrap();
    let plan = given.plan_of(&sweeps()).with_intervention(twice.with_name("twice")).unwrap();
    let job = given.job(&dir.path().join("job"), plan);
    given.run(&job, Shard::WHOLE);
    let merged = job.merge(&[]).unwrap();
    let path = dir.path().join("sequences.parquet");
    std::fs::write(&path, merged.to_parquet(&job)).unwrap();
    let rows = rows(&path);
    // The unchanged model, three deletions, two swaps, four lenses, one single; seven windows each.
    assert_eq!(rows.len(), (1 + 3 + 2 + 4 + 1) * 7);
    let metrics = ["kl", "top1_agreement", "entropy_bits", "nll", "accuracy"];
    assert_eq!(columns(&rows[0])[..5], ["sweep", "index", "name", "text", "sequence"]);
    assert_eq!(columns(&rows[0])[5..], metrics);
    let label = |row: &Row| ["sweep", "index", "name", "text"].map(|column| field(row, column).clone());
    assert_eq!(label(&rows[0]), [Field::Null, Field::Null, text("clean"), text("0..3")]);
    assert_eq!(label(&rows[2 * 7]), [text("delete"), Field::Long(1), text("delete 1"), text("0-2")]);
    assert_eq!(label(rows.last().unwrap()), [Field::Null, Field::Null, text("twice"), text("2-2")]);
    let curve = merged.findings.curve("delete_kl").unwrap();
    for (sequence, row) in rows[2 * 7..3 * 7].iter().enumerate() {
        assert_eq!(*field(row, "sequence"), Field::Long(sequence as i64));
        assert_eq!(*field(row, "kl"), Field::Double(curve.replicates[1][sequence]));
    }
}

#[test]
fn tokens_are_rows_whose_means_are_the_windows() {
    let (given, dir) = (Given::new(), tempfile::tempdir().unwrap());
    let job = given.job(dir.path(), given.plan_of(&sweeps()).with_per_token().unwrap());
    given.run(&job, Shard::WHOLE);
    let files: Vec<_> = (0..job.n_steps()).map(|step| dir.path().join(format!("tokens/{step:06}.parquet"))).collect();
    let rows: Vec<Row> = files.iter().flat_map(|file| rows(file)).collect();
    assert_eq!(columns(&rows[0])[4..7], ["sequence", "position", "token"]);
    assert_eq!(rows.len(), (1 + 3 + 2 + 4) * 7 * 12, "an intervention that two sweeps share has rows for both");
    let merged = job.merge(&[]).unwrap();
    let delete: Vec<_> = rows.iter().filter(|row| *field(row, "name") == text("delete 2")).collect();
    assert_eq!(delete.len(), 7 * 12);
    for sequence in 0..7 {
        let window: Vec<_> = delete.iter().filter(|row| *field(row, "sequence") == Field::Long(sequence)).collect();
        let kl = |row: &&&Row| match field(row, "kl") {
            Field::Float(kl) => f64::from(*kl),
            other => panic!("{other:?}"),
        };
        let mean = window.iter().map(kl).sum::<f64>() / 12.0;
        let expected = merged.findings.curve("delete_kl").unwrap().replicates[2][sequence as usize];
        assert!(abs_diff_eq!(mean, expected, epsilon = 1e-6 * expected.max(1.0)), "{mean} and {expected}");
        for (position, row) in window.iter().enumerate() {
            let token = given.windows.sequence(sequence as usize)[position];
            assert_eq!(*field(row, "token"), Field::Long(i64::from(token)));
            assert_eq!(*field(row, "nll") == Field::Null, position == 11, "the last position has no next token");
        }
    }
    // A step without its tokens is not done.
    std::fs::remove_file(&files[3]).unwrap();
    assert_eq!(job.status(&[]).unwrap().missing, [3]);
}
