//! A dispatch inside the host's **transaction**, which also writes a row of the host's.

use super::{Field, Run, one};
use crate::Result;
use crate::contenders::ALL;
use crate::report::Case;

pub(crate) async fn run(run: &Run<'_>) -> Result<Vec<Case>> {
    let field = Field::apart(&run.stage, &ALL).await?;
    let callers: &[usize] = run.of(&[1, 8, 32], &[1, 8]);
    let mut cases = Vec::new();
    for callers in callers {
        cases.push(one::case(run, &field, one::Way::InTransaction, *callers, "").await?);
    }
    field.clear(&run.stage).await?;
    Ok(cases)
}
