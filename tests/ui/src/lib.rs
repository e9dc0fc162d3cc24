//! Nothing is here: what is shown are the programs in `pass` and `fail`, and what rustc says to them.
