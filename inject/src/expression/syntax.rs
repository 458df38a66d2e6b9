//! The syntax of CEL: from text to a tree, with bounded depth.

use super::{
    SyntaxError,
    lexer::{Lexer, Token},
};

/// Deepest tree. Everything that walks a tree takes stack for each level.
const MAX_DEPTH: usize = 32;

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

/// An operator between two operands.
#[derive(Clone, Copy)]
enum Between {
    Any,
    All,
    Binary(Operator),
}

impl Between {
    /// The operator that a token stands for, and how tightly it binds.
    fn of(token: &Token<'_>) -> Option<(Self, u8)> {
        Some(match token {
            Token::Symbol("||") => (Self::Any, 1),
            Token::Symbol("&&") => (Self::All, 2),
            Token::Symbol("==") => (Self::Binary(Operator::Equal), 3),
            Token::Symbol("!=") => (Self::Binary(Operator::NotEqual), 3),
            Token::Symbol("<") => (Self::Binary(Operator::Less), 3),
            Token::Symbol("<=") => (Self::Binary(Operator::LessOrEqual), 3),
            Token::Symbol(">") => (Self::Binary(Operator::Greater), 3),
            Token::Symbol(">=") => (Self::Binary(Operator::GreaterOrEqual), 3),
            Token::Word("in") => (Self::Binary(Operator::In), 3),
            Token::Symbol("+") => (Self::Binary(Operator::Add), 4),
            Token::Symbol("-") => (Self::Binary(Operator::Subtract), 4),
            Token::Symbol("*") => (Self::Binary(Operator::Multiply), 5),
            Token::Symbol("/") => (Self::Binary(Operator::Divide), 5),
            Token::Symbol("%") => (Self::Binary(Operator::Remainder), 5),
            _ => return None,
        })
    }
}

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

    fn expression(&mut self) -> Result<Syntax, SyntaxError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let at = self.next.as_ref().map_or(self.lexer.position(), |(at, _)| *at);
            return Err(too_deep(at));
        }
        let condition = self.operation(1)?;
        let expression = if let Some(at) = self.take("?")? {
            let yes = self.operation(1)?;
            self.expect(":")?;
            let no = self.expression()?;
            Syntax::new(at, Kind::Conditional(Box::new([condition, yes, no])))
        } else {
            Ok(condition)
        };
        self.depth -= 1;
        expression
    }

    /// Operands and the operators between them that bind at least this tightly.
    fn operation(&mut self, tightness: u8) -> Result<Syntax, SyntaxError> {
        let mut left = self.unary()?;
        while let Some((at, token)) = &self.next
            && let Some((between, tight)) = Between::of(token)
            && tight >= tightness
        {
            let at = *at;
            self.advance()?;
            let right = self.operation(tight + 1)?;
            left = Syntax::between(at, between, left, right)?;
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
        let depth = kind.parts().iter().map(|part| part.depth).max().unwrap_or(0) + 1;
        if depth > MAX_DEPTH { Err(too_deep(at)) } else { Ok(Self { at, depth, kind }) }
    }

    /// Calls `visit` with this tree and every tree below it.
    pub(super) fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s Self)) {
        visit(self);
        for part in self.kind.parts() {
            part.for_each(visit);
        }
    }

    /// Joins two operands; a row of `||` or `&&` becomes one.
    fn between(at: usize, between: Between, left: Self, right: Self) -> Result<Self, SyntaxError> {
        let kind = match (between, left) {
            (Between::Any, Self { kind: Kind::Any(mut operands), .. }) => {
                operands.push(right);
                Kind::Any(operands)
            }
            (Between::All, Self { kind: Kind::All(mut operands), .. }) => {
                operands.push(right);
                Kind::All(operands)
            }
            (Between::Any, left) => Kind::Any(vec![left, right]),
            (Between::All, left) => Kind::All(vec![left, right]),
            (Between::Binary(operator), left) => {
                Kind::Binary(operator, Box::new(left), Box::new(right))
            }
        };
        Self::new(at, kind)
    }
}

impl Kind {
    /// The trees right below.
    fn parts(&self) -> Vec<&Syntax> {
        match self {
            Self::Null
            | Self::Boolean(_)
            | Self::Integer(_)
            | Self::Double(_)
            | Self::Text(_)
            | Self::Name(_) => Vec::new(),
            Self::Select(operand, _) | Self::Not(operand) | Self::Negate(operand) => vec![operand],
            Self::Index(left, right) | Self::Binary(_, left, right) => vec![left, right],
            Self::Call { target, arguments, .. } => {
                target.as_deref().into_iter().chain(arguments).collect()
            }
            Self::List(parts) | Self::All(parts) | Self::Any(parts) => parts.iter().collect(),
            Self::Map(entries) => entries.iter().flat_map(|(key, value)| [key, value]).collect(),
            Self::Conditional(parts) => parts.iter().collect(),
        }
    }
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
