#![allow(clippy::unwrap_used)]
use super::*;

fn rows() -> Rows {
    Rows {
        columns: ["name", "age", "note", "score"].map(str::to_owned).to_vec(),
        rows: vec![
            vec![Value::Text("ann".into()), Value::Integer(7), Value::Null, Value::Real(0.5)],
            vec![
                Value::Text("bob".into()),
                Value::Integer(0),
                Value::Blob(vec![1]),
                Value::Integer(2),
            ],
        ],
    }
}

#[test]
fn columns_are_read_by_their_names() {
    let rows = rows();
    let first = rows.first().unwrap();
    assert_eq!(first.get::<&str>("name"), Ok("ann"));
    assert_eq!((first.get::<i64>("age"), first.get::<bool>("age")), (Ok(7), Ok(true)));
    assert_eq!(first.get::<Option<&[u8]>>("note"), Ok(None));
    let second = rows.iter().nth(1).unwrap();
    assert_eq!(second.get::<Option<&[u8]>>("note"), Ok(Some(&[1][..])));
    let scores: Vec<f64> = rows.iter().map(|row| row.get("score").unwrap()).collect();
    assert_eq!(scores, [0.5, 2.0]);
}

#[test]
fn a_wrong_type_or_name_is_an_error_that_names_the_column() {
    let rows = rows();
    let first = rows.first().unwrap();
    let error = first.get::<i64>("name").unwrap_err();
    assert_eq!(error.to_string(), "column `name` is missing or holds another type");
    assert!(first.get::<&str>("nam").is_err());
    assert!(first.get::<&str>("note").is_err());
}

#[test]
fn values_become_parameters() {
    let params: [Param<'_>; 6] =
        ["a".into(), 1i64.into(), 0.5.into(), true.into(), None::<i64>.into(), Some("b").into()];
    assert!(matches!(
        params,
        [
            Param::Text("a"),
            Param::Integer(1),
            Param::Real(0.5),
            Param::Boolean(true),
            Param::Null,
            Param::Text("b")
        ]
    ));
}
