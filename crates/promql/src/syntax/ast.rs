//! The tree of a query. Every node carries the bytes it was written with.
//!
//! A tree handed out by the parser is checked: argument types, matchings and ranges are as the language wants
//! them, so whoever walks it may rely on that. Step-invariant wrappers and effective offsets are the engine's own.
//! Spans follow Prometheus (a selector ends behind its modifiers), because annotations are reported with them.

use model::matcher::Matcher;

use super::functions::Function;

/// Bytes `start..end` of the query text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: u32,
    pub end: u32,
}

impl Span {
    #[must_use]
    pub const fn new(start: u32, end: u32) -> Self {
        Self { start, end }
    }

    /// From the start of `self` to the end of `last`.
    #[must_use]
    pub const fn to(self, last: Self) -> Self {
        Self { start: self.start, end: last.end }
    }

    /// `line:col`, both from 1, the column in bytes: how Prometheus names the place in errors and annotations.
    #[must_use]
    pub fn line_col(self, text: &str) -> (usize, usize) {
        let before = &text.as_bytes()[..text.len().min(self.start as usize)];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let col = 1 + before.iter().rev().take_while(|byte| **byte != b'\n').count();
        (line, col)
    }
}

/// What an expression evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueType {
    /// Only of something that did not parse.
    None,
    Scalar,
    /// An instant vector.
    Vector,
    /// A range vector.
    Matrix,
    String,
}

impl ValueType {
    /// The name in the HTTP API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Scalar => "scalar",
            Self::Vector => "vector",
            Self::Matrix => "matrix",
            Self::String => "string",
        }
    }

    /// The name in documentation and error texts.
    #[must_use]
    pub const fn documented(self) -> &'static str {
        match self {
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            other => other.as_str(),
        }
    }
}

/// A query or a part of one.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Number(NumberLiteral),
    String(StringLiteral),
    Vector(Box<VectorSelector>),
    Matrix(Box<MatrixSelector>),
    Subquery(Box<Subquery>),
    Call(Box<Call>),
    Aggregate(Box<Aggregate>),
    Binary(Box<Binary>),
    Unary(Box<Unary>),
    Paren(Box<Paren>),
}

impl Expr {
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Number(node) => node.span,
            Self::String(node) => node.span,
            Self::Vector(node) => node.span,
            Self::Matrix(node) => node.span,
            Self::Subquery(node) => node.span,
            Self::Call(node) => node.span,
            Self::Aggregate(node) => node.span,
            Self::Binary(node) => node.lhs.span().to(node.rhs.span()),
            Self::Unary(node) => node.span,
            Self::Paren(node) => node.span,
        }
    }

    #[must_use]
    pub fn value_type(&self) -> ValueType {
        match self {
            Self::Number(_) => ValueType::Scalar,
            Self::String(_) => ValueType::String,
            Self::Vector(_) | Self::Aggregate(_) => ValueType::Vector,
            Self::Matrix(_) | Self::Subquery(_) => ValueType::Matrix,
            Self::Call(node) => node.function.returns,
            Self::Binary(node) => match (node.lhs.value_type(), node.rhs.value_type()) {
                (ValueType::Scalar, ValueType::Scalar) => ValueType::Scalar,
                _ => ValueType::Vector,
            },
            Self::Unary(node) => node.expr.value_type(),
            Self::Paren(node) => node.expr.value_type(),
        }
    }

    /// The direct sub-expressions, in the order in which Prometheus walks them (an aggregate's parameter last).
    #[must_use]
    pub fn children(&self) -> Vec<&Self> {
        match self {
            Self::Number(_) | Self::String(_) | Self::Vector(_) | Self::Matrix(_) => Vec::new(),
            Self::Subquery(node) => vec![&node.expr],
            Self::Call(node) => node.args.iter().collect(),
            Self::Aggregate(node) => std::iter::once(&node.expr).chain(node.param.as_ref()).collect(),
            Self::Binary(node) => vec![&node.lhs, &node.rhs],
            Self::Unary(node) => vec![&node.expr],
            Self::Paren(node) => vec![&node.expr],
        }
    }

    /// Calls `visit` for every instant selector, also those inside range selectors.
    pub fn for_each_selector<'a>(&'a self, visit: &mut impl FnMut(&'a VectorSelector)) {
        match self {
            Self::Vector(node) => visit(node),
            Self::Matrix(node) => visit(&node.selector),
            _ => {
                for child in self.children() {
                    child.for_each_selector(visit);
                }
            }
        }
    }

    /// The expression without the parentheses around it.
    #[must_use]
    pub fn unwrapped(&self) -> &Self {
        let mut expr = self;
        while let Self::Paren(paren) = expr {
            expr = &paren.expr;
        }
        expr
    }
}

/// `3`, `0x1F`, `Inf`, `5m`.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberLiteral {
    /// A duration counts in seconds.
    pub value: f64,
    /// Whether it was written as a duration, so that it prints as one.
    pub is_duration: bool,
    pub span: Span,
}

/// `"text"`, with the escapes resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringLiteral {
    pub value: String,
    /// The bytes, only where escapes such as `\xff` made them invalid UTF-8; `value` then has U+FFFD there.
    pub invalid_utf8: Option<Box<[u8]>>,
    pub span: Span,
}

/// `@ 10`, `@ start()`, `@ end()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    /// Milliseconds since 1970.
    Time(i64),
    /// The start of the whole query's range.
    Start,
    /// The end of the whole query's range.
    End,
}

/// A length of time in brackets or after `offset`: fixed, or to be computed for each query.
#[derive(Clone, Debug, PartialEq)]
pub enum Length {
    /// Milliseconds; negative only after `offset`.
    Fixed(i64),
    /// Has `step()`, `range()` or arithmetic in it.
    Computed(Box<DurationExpr>),
}

impl Length {
    pub const ZERO: Self = Self::Fixed(0);
}

impl Default for Length {
    fn default() -> Self {
        Self::ZERO
    }
}

/// How a selector treats the borders of its range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Borders {
    #[default]
    Plain,
    /// `anchored`: the sample before the range stands at its start.
    Anchored,
    /// `smoothed`: values are interpolated at the borders.
    Smoothed,
}

/// `name{label="value"} @ 10 offset 5m`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorSelector {
    /// The name in front of the braces; empty where there is none, also where a quoted name stands within them.
    pub name: String,
    /// All conditions, that on `__name__` from `name` or from a quoted name included.
    pub matchers: Vec<Matcher>,
    /// As it was written; the engine computes the effective one.
    pub offset: Length,
    pub at: Option<At>,
    pub borders: Borders,
    /// Whether it may match everything: only as the second argument of `info()`.
    pub bypass_empty_matcher_check: bool,
    pub span: Span,
}

/// `selector[5m]`. Offset and `@` stand in the selector.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixSelector {
    pub selector: VectorSelector,
    pub range: Length,
    pub span: Span,
}

/// `expr[1h:5m] @ 10 offset 5m`.
#[derive(Clone, Debug, PartialEq)]
pub struct Subquery {
    pub expr: Expr,
    pub range: Length,
    /// `None`: the default resolution.
    pub step: Option<Length>,
    pub offset: Length,
    pub at: Option<At>,
    pub span: Span,
}

/// `function(args…)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub function: &'static Function,
    pub args: Vec<Expr>,
    pub span: Span,
}

/// `sum by (job) (expr)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    pub op: AggregateOp,
    pub expr: Expr,
    /// The first argument of `topk`, `quantile`, `count_values`, ….
    pub param: Option<Expr>,
    pub grouping: Vec<String>,
    pub without: bool,
    pub span: Span,
}

/// `lhs op rhs`.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    pub op: BinaryOp,
    pub lhs: Expr,
    pub rhs: Expr,
    /// How pairs are found; `None` unless both sides are instant vectors.
    pub matching: Option<VectorMatching>,
    /// `bool`: 0 or 1 instead of filtering.
    pub return_bool: bool,
    /// The operator with its modifiers.
    pub op_span: Span,
}

/// `-expr`, `+expr`.
#[derive(Clone, Debug, PartialEq)]
pub struct Unary {
    pub negative: bool,
    pub expr: Expr,
    pub span: Span,
}

/// `(expr)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Paren {
    pub expr: Expr,
    pub span: Span,
}

/// How many may meet how many in a vector matching.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Cardinality {
    #[default]
    OneToOne,
    /// `group_left`
    ManyToOne,
    /// `group_right`
    OneToMany,
    /// Set operators.
    ManyToMany,
}

impl Cardinality {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneToOne => "one-to-one",
            Self::ManyToOne => "many-to-one",
            Self::OneToMany => "one-to-many",
            Self::ManyToMany => "many-to-many",
        }
    }
}

/// How the elements of two instant vectors find each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VectorMatching {
    pub cardinality: Cardinality,
    /// The labels of `on` or `ignoring`.
    pub labels: Vec<String>,
    /// `on` instead of `ignoring`.
    pub on: bool,
    /// Labels taken over from the "one" side.
    pub include: Vec<String>,
    /// Stands in for an element missing on the left.
    pub fill_left: Option<f64>,
    /// Stands in for an element missing on the right.
    pub fill_right: Option<f64>,
}

/// The operators between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Atan2,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    And,
    Or,
    Unless,
    /// `</`: the observations of a histogram below the bound.
    TrimUpper,
    /// `>/`: the observations of a histogram above the bound.
    TrimLower,
}

impl BinaryOp {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Eq => "==",
            Self::Ne => "!=",
            Self::Lt => "<",
            Self::Le => "<=",
            Self::Gt => ">",
            Self::Ge => ">=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// Whether it compares, so that `bool` may follow.
    #[must_use]
    pub const fn is_comparison(self) -> bool {
        matches!(self, Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge)
    }

    /// Whether it combines sets of series.
    #[must_use]
    pub const fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }

    /// Binding strength; higher binds tighter.
    #[must_use]
    pub const fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::Eq | Self::Ne | Self::Lt | Self::Le | Self::Gt | Self::Ge | Self::TrimUpper | Self::TrimLower => 3,
            Self::Add | Self::Sub => 4,
            Self::Mul | Self::Div | Self::Mod | Self::Atan2 => 5,
            Self::Pow => 6,
        }
    }
}

/// The aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    Limitk,
    LimitRatio,
}

impl AggregateOp {
    pub const ALL: [Self; 14] = [
        Self::Sum,
        Self::Avg,
        Self::Count,
        Self::Min,
        Self::Max,
        Self::Group,
        Self::Stddev,
        Self::Stdvar,
        Self::Topk,
        Self::Bottomk,
        Self::CountValues,
        Self::Quantile,
        Self::Limitk,
        Self::LimitRatio,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// The type of the parameter in front of the vector, where there is one.
    #[must_use]
    pub const fn param_type(self) -> Option<ValueType> {
        match self {
            Self::Topk | Self::Bottomk | Self::Quantile | Self::Limitk | Self::LimitRatio => Some(ValueType::Scalar),
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }

    /// Whether it needs the switch for experimental functions.
    #[must_use]
    pub const fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

/// Arithmetic over durations. Values are seconds.
#[derive(Clone, Debug, PartialEq)]
pub enum DurationExpr {
    Literal(NumberLiteral),
    /// `step()`: the step of the query; 0 in an instant query.
    Step(Span),
    /// `range()`: from the query's start to its end; 0 in an instant query.
    Range(Span),
    Unary {
        negative: bool,
        operand: Box<DurationExpr>,
        span: Span,
    },
    Binary {
        op: DurationOp,
        lhs: Box<DurationExpr>,
        rhs: Box<DurationExpr>,
    },
    /// `min_of(lhs, rhs)`
    MinOf {
        lhs: Box<DurationExpr>,
        rhs: Box<DurationExpr>,
        span: Span,
    },
    /// `max_of(lhs, rhs)`
    MaxOf {
        lhs: Box<DurationExpr>,
        rhs: Box<DurationExpr>,
        span: Span,
    },
    Paren {
        inner: Box<DurationExpr>,
        span: Span,
    },
}

impl DurationExpr {
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Literal(literal) => literal.span,
            Self::Step(span) | Self::Range(span) => *span,
            Self::Unary { span, .. }
            | Self::MinOf { span, .. }
            | Self::MaxOf { span, .. }
            | Self::Paren { span, .. } => *span,
            Self::Binary { lhs, rhs, .. } => lhs.span().to(rhs.span()),
        }
    }
}

/// The operators of duration expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DurationOp {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

impl DurationOp {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
        }
    }
}
