//! Parquet files, which DuckDB, polars and pandas read: [`ParquetTable`], of [`ParquetColumn`]s.

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

/// The values of a column, any of which may be missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ParquetColumn<'a> {
    /// Text.
    Text(Vec<Option<&'a str>>),
    /// Whole numbers.
    Whole(Vec<Option<i64>>),
    /// Numbers of 64 bits.
    Double(Vec<Option<f64>>),
    /// Numbers of 32 bits.
    Single(Vec<Option<f32>>),
}

impl ParquetColumn<'_> {
    fn len(&self) -> usize {
        match self {
            ParquetColumn::Text(values) => values.len(),
            ParquetColumn::Whole(values) => values.len(),
            ParquetColumn::Double(values) => values.len(),
            ParquetColumn::Single(values) => values.len(),
        }
    }

    fn declared(&self, name: &str) -> String {
        match self {
            ParquetColumn::Text(_) => format!("optional binary {name} (string);"),
            ParquetColumn::Whole(_) => format!("optional int64 {name};"),
            ParquetColumn::Double(_) => format!("optional double {name};"),
            ParquetColumn::Single(_) => format!("optional float {name};"),
        }
    }

    fn write(&self, mut writer: SerializedColumnWriter) -> parquet::errors::Result<()> {
        match self {
            ParquetColumn::Text(values) => {
                let (present, levels) = split(values);
                let present: Vec<_> = present.into_iter().map(ByteArray::from).collect();
                writer.typed::<ByteArrayType>().write_batch(&present, Some(&levels), None)?;
            }
            ParquetColumn::Whole(values) => {
                let (present, levels) = split(values);
                writer.typed::<Int64Type>().write_batch(&present, Some(&levels), None)?;
            }
            ParquetColumn::Double(values) => {
                let (present, levels) = split(values);
                writer.typed::<DoubleType>().write_batch(&present, Some(&levels), None)?;
            }
            ParquetColumn::Single(values) => {
                let (present, levels) = split(values);
                writer.typed::<FloatType>().write_batch(&present, Some(&levels), None)?;
            }
        }
        writer.close()
    }
}

/// The values that are there, and where: 1 for each that is, 0 for each that is not.
fn split<T: Copy>(values: &[Option<T>]) -> (Vec<T>, Vec<i16>) {
    (values.iter().flatten().copied().collect(), values.iter().map(|value| i16::from(value.is_some())).collect())
}

/// Columns of one length, each with its name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ParquetTable<'a> {
    columns: Vec<(String, ParquetColumn<'a>)>,
}

impl<'a> ParquetTable<'a> {
    /// A table of these columns.
    ///
    /// # Panics
    /// When they are of several lengths.
    pub(crate) fn new(columns: Vec<(String, ParquetColumn<'a>)>) -> Self {
        let lengths = columns.iter().map(|(_, column)| column.len());
        assert_eq!(lengths.clone().min(), lengths.max(), "columns are of one length");
        Self { columns }
    }

    /// The content of the file, compressed with Snappy.
    ///
    /// # Panics
    /// When the name of a column is not one word.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.write().expect("columns of one length and known types go into memory")
    }

    fn write(&self) -> parquet::errors::Result<Vec<u8>> {
        let declared: String = self.columns.iter().map(|(name, column)| column.declared(name)).collect();
        let schema = Arc::new(parse_message_type(&format!("message table {{ {declared} }}"))?);
        let properties = Arc::new(WriterProperties::builder().set_compression(Compression::SNAPPY).build());
        let mut file = SerializedFileWriter::new(Vec::new(), schema, properties)?;
        let mut rows = file.next_row_group()?;
        for (_, column) in &self.columns {
            column.write(rows.next_column()?.expect("the schema has this column"))?;
        }
        rows.close()?;
        file.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;

    #[test]
    fn a_table_is_read_back_as_it_was_written() {
        let names = vec![Some("delete"), None, Some("swap")];
        let columns = vec![
            ("sweep".to_owned(), ParquetColumn::Text(names.clone())),
            ("index".to_owned(), ParquetColumn::Whole(vec![Some(3), None, Some(7)])),
            ("kl".to_owned(), ParquetColumn::Double(vec![Some(0.1), Some(f64::MIN_POSITIVE), None])),
            ("nll".to_owned(), ParquetColumn::Single(vec![None, Some(2.5), Some(-1.0)])),
        ];
        let bytes = ParquetTable::new(columns).to_bytes();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
        let column = |index: usize| rows.iter().map(move |row| row.get_column_iter().nth(index).unwrap().1.clone());
        let texts = names.iter().map(|name| name.map_or(Field::Null, |name| Field::Str(name.to_owned())));
        assert!(column(0).eq(texts));
        assert_eq!(column(1).collect::<Vec<_>>(), [Field::Long(3), Field::Null, Field::Long(7)]);
        let doubles = [Field::Double(0.1), Field::Double(f64::MIN_POSITIVE), Field::Null];
        assert_eq!(column(2).collect::<Vec<_>>(), doubles);
        assert_eq!(column(3).collect::<Vec<_>>(), [Field::Null, Field::Float(2.5), Field::Float(-1.0)]);
    }

    #[test]
    #[should_panic(expected = "columns are of one length")]
    fn columns_are_of_one_length() {
        let columns = [("a", vec![None]), ("b", vec![])];
        ParquetTable::new(columns.map(|(name, values)| (name.to_owned(), ParquetColumn::Whole(values))).to_vec());
    }
}
