//! A template **file** is found relative to the source file that names it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::LitStr;

/// Finds the source file that contains a token. Some editors do not provide it.
pub(crate) type SourceFile<'a> = &'a dyn Fn(Span) -> Option<PathBuf>;

/// The path of the file, based on rustc's path of the source file: mostly relative to the workspace.
pub(crate) fn path(file: &LitStr, source_file: SourceFile<'_>) -> Option<PathBuf> {
    Some(source_file(file.span())?.parent()?.join(file.value()))
}

/// The file's text, or why it cannot be read.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => format!("there is no template file {shown}"),
        ErrorKind::InvalidData => format!("the template file {shown} is not UTF-8 text"),
        _ => format!("the template file {shown} cannot be read: {error}"),
    })
}

/// The file's text in const data, which also makes cargo rebuild when the file changes.
///
/// The path is absolute, so that the compiled file is the checked one: in the body of a `macro_rules!`, `include_str!` would
/// search relative to the file that calls the macro.
pub(crate) fn include(file: &LitStr, source_file: SourceFile<'_>) -> TokenStream {
    let found = path(file, source_file).and_then(|path| std::path::absolute(path).ok());
    let text = file.value();
    let path = found
        .as_ref()
        .and_then(|path| path.to_str())
        .unwrap_or(&text);
    quote_spanned!(file.span()=> ::core::include_str!(#path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_reported_with_its_path() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chek.rs");
        let refusal = read(&path).unwrap_err();
        assert_eq!(
            refusal,
            format!("there is no template file {}", path.display())
        );
        assert!(read(&path.with_file_name("check.rs")).is_ok());
    }
}
