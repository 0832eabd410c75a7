//! The clock in the test picture: drawn by FFmpeg's geq filter, read by us.

/// Columns of the clock's grid, over the whole width.
pub const COLUMNS: usize = 48;
/// Rows of such cells over the whole height; the clock takes the upper nine.
pub const ROWS: usize = 36;

/// Reads the clock out of a frame of `width` by `height` luma samples, one
/// byte each, row by row: milliseconds since 1970 (UTC). `None` where the
/// frame shows no clock.
pub fn read_clock(luma: &[u8], width: usize, height: usize) -> Option<u64> {
    let row = (height / ROWS) * width;
    let cell = |i: usize| luma.get(row + (2 * i + 1) * width / (2 * COLUMNS)).copied();
    let (white, black) = (cell(0)?, cell(1)?);
    if white < black.saturating_add(64) {
        return None;
    }
    let middle = black + (white - black) / 2;
    let bit = |i| Some(cell(i)? > middle);
    if bit(46)? || !bit(47)? {
        return None;
    }
    (2..46).try_fold(0, |clock, i| Some(clock << 1 | u64::from(bit(i)?)))
}

/// 3 by 5 dots for the digits 0 to 9: 15 bits, row by row from the top left.
const DIGITS: [u16; 10] = [
    0b111_101_101_101_111,
    0b010_110_010_010_111,
    0b111_001_111_100_111,
    0b111_001_111_001_111,
    0b101_101_111_001_001,
    0b111_100_111_001_111,
    0b111_100_111_101_111,
    0b111_001_010_010_010,
    0b111_101_111_101_111,
    0b111_101_111_001_111,
];
const COLON: u16 = 0b000_010_000_010_000;
const POINT: u16 = 0b000_000_000_000_010;

/// For each of the twelve characters of `HH:MM:SS.mmm`: how many milliseconds
/// one step of the digit is, and after how many steps it is 0 again.
const PLACES: [Option<(u32, u32)>; 12] = [
    Some((36_000_000, 10)),
    Some((3_600_000, 10)),
    None,
    Some((600_000, 6)),
    Some((60_000, 10)),
    None,
    Some((10_000, 6)),
    Some((1_000, 10)),
    None,
    Some((100, 10)),
    Some((10, 10)),
    Some((1, 10)),
];

/// The brightness of a cell (X, Y) at time T, as a geq expression.
///
/// Its variables: 0 milliseconds since 1970, 1 milliseconds since midnight,
/// 2 the character's place, 3 the digit there, or ten where there is none.
pub fn cell_expression() -> String {
    let bits = "if(eq(X,0)+eq(X,47),1,if(eq(X,1)+eq(X,46),0,mod(floor(ld(0)/pow(2,45-X)),2)))";
    let digit = choose(
        2,
        "10",
        PLACES.iter().enumerate().filter_map(|(place, digit)| {
            digit.map(|(step, modulus)| (place, format!("mod(floor(ld(1)/{step}),{modulus})")))
        }),
    );
    let sign = format!("if(eq(ld(2),8),{POINT},{COLON})");
    let dots = choose(3, &sign, DIGITS.iter().map(u16::to_string).enumerate());
    let text = format!(
        "st(1,mod(ld(0),86400000));st(2,floor(X/4));st(3,{digit});\
         if(eq(mod(X,4),3),0,mod(floor({dots}/pow(2,14-mod(X,4)-3*(Y-3))),2))"
    );
    format!("st(0,round(T*1000));255*if(lt(Y,2),{bits},if(between(Y,3,7),({text}),0))")
}

/// `if` after `if`: the value that belongs to what variable `slot` holds.
fn choose(
    slot: u8,
    otherwise: &str,
    cases: impl DoubleEndedIterator<Item = (usize, String)>,
) -> String {
    cases
        .rev()
        .fold(otherwise.to_owned(), |rest, (key, value)| {
            format!("if(eq(ld({slot}),{key}),{value},{rest})")
        })
}
