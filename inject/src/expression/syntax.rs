//! The syntax of CEL: from text to a tree, with bounded depth.

use super::{
    SyntaxError,
    lexer::{Lexer, Token},
};

/// Deepest tree. Everything that walks a tree takes stack for each level.
const MAX_DEPTH: usize = 48;

/// An expression, with the position in its text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Syntax {
    pub(super) at: usize,
    depth: usize,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    Name(String),
    Select(Box<Syntax>, String),
    Index(Box<Syntax>, Box<Syntax>),
    Call { target: Option<Box<Syntax>>, function: String, arguments: Vec<Syntax> },
    List(Vec<Syntax>),
    Map(Vec<(Syntax, Syntax)>),
    Not(Box<Syntax>),
    Negate(Box<Syntax>),
    Binary(Operator, Box<Syntax>, Box<Syntax>),
    All(Vec<Syntax>),
    Any(Vec<Syntax>),
    Conditional(Box<[Syntax; 3]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

impl Operator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
        }
    }
}

const RELATIONS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    (">=", Operator::GreaterOrEqual),
];
const SUMS: [(&str, Operator); 2] = [("+", Operator::Add), ("-", Operator::Subtract)];
const PRODUCTS: [(&str, Operator); 3] =
    [("*", Operator::Multiply), ("/", Operator::Divide), ("%", Operator::Remainder)];

/// Parses one expression.
pub(super) fn parse(text: &str) -> Result<Syntax, SyntaxError> {
    let mut parser = Parser { lexer: Lexer::new(text), next: None, depth: 0 };
    parser.advance()?;
    let syntax = parser.expression()?;
    match parser.next {
        None => Ok(syntax),
        Some((at, token)) => Err(unexpected(at, &token)),
    }
}

/// The text of an expression that begins `text` and ends before the first `}` that closes nothing
/// inside it.
pub(crate) fn until_brace(text: &str) -> Result<&str, SyntaxError> {
    let mut lexer = Lexer::new(text);
    let mut open = 0_usize;
    while let Some((at, token)) = lexer.next_token()? {
        match token {
            Token::Symbol("{") => open += 1,
            Token::Symbol("}") if open == 0 => return Ok(&text[..at]),
            Token::Symbol("}") => open -= 1,
            _ => {}
        }
    }
    Err(SyntaxError::new(lexer.position(), "the closing } is missing"))
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    next: Option<(usize, Token<'t>)>,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn advance(&mut self) -> Result<Option<(usize, Token<'t>)>, SyntaxError> {
        let next = self.lexer.next_token()?;
        Ok(std::mem::replace(&mut self.next, next))
    }

    /// Takes the next token if it is this symbol; its position.
    fn take(&mut self, symbol: &str) -> Result<Option<usize>, SyntaxError> {
        match &self.next {
            Some((at, Token::Symbol(next))) if *next == symbol => {
                let at = *at;
                self.advance()?;
                Ok(Some(at))
            }
            _ => Ok(None),
        }
    }

    fn expect(&mut self, symbol: &str) -> Result<(), SyntaxError> {
        if self.take(symbol)?.is_some() {
            return Ok(());
        }
        Err(match &self.next {
            None => {
                SyntaxError::new(self.lexer.position(), format!("{symbol} is missing at the end"))
            }
            Some((at, token)) => {
                SyntaxError::new(*at, format!("found {}, expected {symbol}", shown(token)))
            }
        })
    }

    fn take_any(
        &mut self,
        operators: &[(&str, Operator)],
    ) -> Result<Option<(usize, Operator)>, SyntaxError> {
        for (symbol, operator) in operators {
            if let Some(at) = self.take(symbol)? {
                return Ok(Some((at, *operator)));
            }
        }
        Ok(None)
    }

    fn expression(&mut self) -> Result<Syntax, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let at = self.next.as_ref().map_or(self.lexer.position(), |(at, _)| *at);
            return Err(too_deep(at));
        }
        let condition = self.any()?;
        let expression = if let Some(at) = self.take("?")? {
            let yes = self.any()?;
            self.expect(":")?;
            let no = self.expression()?;
            Syntax::new(at, Kind::Conditional(Box::new([condition, yes, no])))
        } else {
            Ok(condition)
        };
        self.depth -= 1;
        expression
    }

    fn any(&mut self) -> Result<Syntax, SyntaxError> {
        self.chain("||", Self::all, Kind::Any)
    }

    fn all(&mut self) -> Result<Syntax, SyntaxError> {
        self.chain("&&", Self::relation, Kind::All)
    }

    fn chain(
        &mut self,
        symbol: &str,
        operand: fn(&mut Self) -> Result<Syntax, SyntaxError>,
        kind: fn(Vec<Syntax>) -> Kind,
    ) -> Result<Syntax, SyntaxError> {
        let first = operand(self)?;
        let Some(at) = self.take(symbol)? else { return Ok(first) };
        let mut operands = vec![first, operand(self)?];
        while self.take(symbol)?.is_some() {
            operands.push(operand(self)?);
        }
        Syntax::new(at, kind(operands))
    }

    fn relation(&mut self) -> Result<Syntax, SyntaxError> {
        let mut left = self.sum()?;
        loop {
            let operator = match &self.next {
                Some((at, Token::Word("in"))) => {
                    let at = *at;
                    self.advance()?;
                    Some((at, Operator::In))
                }
                _ => self.take_any(&RELATIONS)?,
            };
            let Some((at, operator)) = operator else { return Ok(left) };
            left = Syntax::binary(at, operator, left, self.sum()?)?;
        }
    }

    fn sum(&mut self) -> Result<Syntax, SyntaxError> {
        let mut left = self.product()?;
        while let Some((at, operator)) = self.take_any(&SUMS)? {
            left = Syntax::binary(at, operator, left, self.product()?)?;
        }
        Ok(left)
    }

    fn product(&mut self) -> Result<Syntax, SyntaxError> {
        let mut left = self.unary()?;
        while let Some((at, operator)) = self.take_any(&PRODUCTS)? {
            left = Syntax::binary(at, operator, left, self.unary()?)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Syntax, SyntaxError> {
        for (symbol, kind) in [("!", Kind::Not as fn(Box<Syntax>) -> Kind), ("-", Kind::Negate)] {
            let Some(at) = self.take(symbol)? else { continue };
            let mut times = 1;
            while self.take(symbol)?.is_some() {
                times += 1;
            }
            if symbol == "-"
                && times == 1
                && let Some(number) = self.number(true)?
            {
                return self.members(number);
            }
            let mut operand = self.member()?;
            for _ in 0..times {
                operand = Syntax::new(at, kind(Box::new(operand)))?;
            }
            return Ok(operand);
        }
        self.member()
    }

    fn member(&mut self) -> Result<Syntax, SyntaxError> {
        let primary = self.primary()?;
        self.members(primary)
    }

    fn members(&mut self, mut operand: Syntax) -> Result<Syntax, SyntaxError> {
        loop {
            if let Some(at) = self.take(".")? {
                let name = match self.advance()? {
                    Some((_, Token::Word(name))) => name.to_owned(),
                    Some((at, token)) => return Err(unexpected(at, &token)),
                    None => return Err(SyntaxError::new(at, "the name after the dot is missing")),
                };
                operand = if self.take("(")?.is_some() {
                    let arguments = self.list(")")?;
                    let target = Some(Box::new(operand));
                    Syntax::new(at, Kind::Call { target, function: name, arguments })?
                } else {
                    Syntax::new(at, Kind::Select(Box::new(operand), name))?
                };
            } else if let Some(at) = self.take("[")? {
                let index = self.expression()?;
                self.expect("]")?;
                operand = Syntax::new(at, Kind::Index(Box::new(operand), Box::new(index)))?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn primary(&mut self) -> Result<Syntax, SyntaxError> {
        if let Some(number) = self.number(false)? {
            return Ok(number);
        }
        let Some((at, token)) = self.advance()? else {
            let at = self.lexer.position();
            return Err(SyntaxError::new(at, "something is missing at the end"));
        };
        let kind = match token {
            Token::Text(text) => Kind::Text(text),
            Token::Word("true") => Kind::Boolean(true),
            Token::Word("false") => Kind::Boolean(false),
            Token::Word("null") => Kind::Null,
            Token::Word("in") => return Err(unexpected(at, &token)),
            Token::Word(name) => {
                if self.take("(")?.is_some() {
                    let arguments = self.list(")")?;
                    Kind::Call { target: None, function: name.to_owned(), arguments }
                } else {
                    Kind::Name(name.to_owned())
                }
            }
            Token::Symbol("(") => {
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Symbol("[") => Kind::List(self.list("]")?),
            Token::Symbol("{") => Kind::Map(self.entries()?),
            _ => return Err(unexpected(at, &token)),
        };
        Syntax::new(at, kind)
    }

    fn number(&mut self, negative: bool) -> Result<Option<Syntax>, SyntaxError> {
        let (at, kind) = match &self.next {
            Some((at, Token::Integer(text))) => {
                let sign = if negative { "-" } else { "" };
                let read = match text.strip_prefix("0x") {
                    Some(digits) => i64::from_str_radix(&format!("{sign}{digits}"), 16),
                    None => format!("{sign}{text}").parse(),
                };
                let wrong = |_| {
                    SyntaxError::new(*at, format!("{sign}{text} is not a whole number of 64 bits"))
                };
                (*at, Kind::Integer(read.map_err(wrong)?))
            }
            Some((at, Token::Double(text))) => {
                let read = text.parse::<f64>().ok().filter(|number| number.is_finite());
                let number = read.ok_or_else(|| {
                    SyntaxError::new(*at, format!("{text} is too large a number"))
                })?;
                (*at, Kind::Double(if negative { -number } else { number }))
            }
            _ => return Ok(None),
        };
        self.advance()?;
        Syntax::new(at, kind).map(Some)
    }

    /// Expressions separated by commas, up to a closing bracket.
    fn list(&mut self, close: &str) -> Result<Vec<Syntax>, SyntaxError> {
        let mut elements = Vec::new();
        while self.take(close)?.is_none() {
            if !elements.is_empty() {
                self.expect(",")?;
                // CEL takes a comma after the last element of a list, but not after an argument.
                if close == "]" && self.take(close)?.is_some() {
                    break;
                }
            }
            elements.push(self.expression()?);
        }
        Ok(elements)
    }

    fn entries(&mut self) -> Result<Vec<(Syntax, Syntax)>, SyntaxError> {
        let mut entries = Vec::new();
        while self.take("}")?.is_none() {
            if !entries.is_empty() {
                self.expect(",")?;
                if self.take("}")?.is_some() {
                    break;
                }
            }
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
        }
        Ok(entries)
    }
}

impl Syntax {
    fn new(at: usize, kind: Kind) -> Result<Self, SyntaxError> {
        let below = match &kind {
            Kind::Null
            | Kind::Boolean(_)
            | Kind::Integer(_)
            | Kind::Double(_)
            | Kind::Text(_)
            | Kind::Name(_) => 0,
            Kind::Select(operand, _) | Kind::Not(operand) | Kind::Negate(operand) => operand.depth,
            Kind::Index(left, right) | Kind::Binary(_, left, right) => left.depth.max(right.depth),
            Kind::Call { target, arguments, .. } => {
                let target = target.as_ref().map_or(0, |target| target.depth);
                deepest(arguments).max(target)
            }
            Kind::List(elements) | Kind::All(elements) | Kind::Any(elements) => deepest(elements),
            Kind::Map(entries) => {
                entries.iter().map(|(key, value)| key.depth.max(value.depth)).max().unwrap_or(0)
            }
            Kind::Conditional(parts) => deepest(parts.as_slice()),
        };
        let depth = below + 1;
        if depth > MAX_DEPTH { Err(too_deep(at)) } else { Ok(Self { at, depth, kind }) }
    }

    fn binary(at: usize, operator: Operator, left: Self, right: Self) -> Result<Self, SyntaxError> {
        Self::new(at, Kind::Binary(operator, Box::new(left), Box::new(right)))
    }
}

fn deepest(list: &[Syntax]) -> usize {
    list.iter().map(|syntax| syntax.depth).max().unwrap_or(0)
}

fn too_deep(at: usize) -> SyntaxError {
    let message = format!("nests deeper than {MAX_DEPTH} levels; write it with less of them");
    SyntaxError::new(at, message)
}

fn unexpected(at: usize, token: &Token<'_>) -> SyntaxError {
    SyntaxError::new(at, format!("found {}, which cannot stand here", shown(token)))
}

fn shown(token: &Token<'_>) -> String {
    match token {
        Token::Word(text) | Token::Integer(text) | Token::Double(text) => (*text).to_owned(),
        Token::Symbol(symbol) => (*symbol).to_owned(),
        Token::Text(_) => "a string".to_owned(),
    }
}
