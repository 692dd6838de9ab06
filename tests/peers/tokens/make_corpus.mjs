// Makes the corpus that `filter/core/tests/token_counts.rs` reads: texts, and how many tokens js-tiktoken
// finds in each, as JSON lines. The same every time (of one version of node: it knows the scripts).
//
//     npm ci && node make_corpus.mjs > ../../../filter/core/tests/data/token_counts.jsonl
//
// Left out is what JavaScript's regular expressions see otherwise than tiktoken's do: U+0085 and U+FEFF
// (which of them is white space), the long s after an apostrophe (case folding), and characters newer than
// node's Unicode. The property tests against bpe-openai have all of those.
import { Tiktoken } from "js-tiktoken/lite";
import cl100k_base from "js-tiktoken/ranks/cl100k_base";
import o200k_base from "js-tiktoken/ranks/o200k_base";

const cl100k = new Tiktoken(cl100k_base);
const o200k = new Tiktoken(o200k_base);

// xorshift32: fixed numbers.
let state = 0x9e3779b9;
const below = (limit) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  state >>>= 0;
  return state % limit;
};
const one = (list) => list[below(list.length)];
const some = (least, most, make) => Array.from({ length: least + below(most - least + 1) }, make);

const SCRIPTS = (
  "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki " +
  "Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee " +
  "Chorasmian Common Coptic Cuneiform Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra " +
  "Duployan Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha Greek Gujarati " +
  "Gunjala_Gondi Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran Hebrew Hiragana Imperial_Aramaic " +
  "Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li " +
  "Kharoshthi Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B Lisu " +
  "Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen Masaram_Gondi Medefaidrin " +
  "Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar " +
  "Nabataean Nag_Mundari Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki " +
  "Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian Old_South_Arabian " +
  "Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician " +
  "Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sogdian " +
  "Sora_Sompeng Soyombo Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil " +
  "Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho Warang_Citi " +
  "Yezidi Yi Zanabazar_Square"
).split(" ");

const SENTENCES = [
  "All human beings are born free and equal in dignity and rights.",
  "She said she'd've gone if they'd asked; it wasn't what WE'LL do, y'all'd know THAT'S right.",
  "The quick brown fox jumps over the lazy dog, 1,234.56 times — \u201cquoted\u201d, \u2018twice\u2019…",
  "Alle Menschen sind frei und gleich an Würde und Rechten geboren; Straßenbahnhaltestellenschilder.",
  "Tous les êtres humains naissent libres et égaux en dignité et en droits, n'est-ce pas ? L'été, j'ai…",
  "Todos los seres humanos nacen libres e iguales en dignidad y derechos. ¿Mañana? ¡Sí, señor!",
  "Tutti gli esseri umani nascono liberi ed eguali in dignità e diritti. Perché no? Dell'uomo.",
  "Todos os seres humanos nascem livres e iguais em dignidade e em direitos; ação, coração, não.",
  "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw. Zażółć gęślą jaźń.",
  "Všichni lidé rodí se svobodní a sobě rovní. Příliš žluťoučký kůň úpěl ďábelské ódy.",
  "Minden emberi lény szabadon születik. Árvíztűrő tükörfúrógép, megszentségteleníthetetlenségeskedéseitekért.",
  "Kaikki ihmiset syntyvät vapaina. Lentokonesuihkuturbiinimoottoriapumekaanikkoaliupseerioppilas.",
  "Bütün insanlar hür doğarlar. İstanbul'da ILIK ığdır, Çekoslovakyalılaştıramadıklarımızdanmışsınız.",
  "Tất cả mọi người sinh ra đều được tự do và bình đẳng về nhân phẩm và quyền lợi.",
  "Все люди рождаются свободными и равными в своём достоинстве и правах. Съешь же ещё этих мягких булок.",
  "Всі люди народжуються вільними; об'єкт, під'їзд, ґанок.",
  "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. ΣΊΣΥΦΟΣ",
  "יולדו כל בני האדם בני חורין ושווים בערכם ובזכויותיהם. בְּרֵאשִׁית בָּרָא אֱלֹהִים",
  "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق. السَّلامُ عَلَيْكُمْ ١٢٣٤٥٦",
  "تمام انسان آزاد اور حقوق و عزت کے اعتبار سے برابر پیدا ہوئے ہیں۔ می‌خواهم",
  "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। १२३४",
  "সমস্ত মানুষ স্বাধীনভাবে সমান মর্যাদা এবং অধিকার নিয়ে জন্মগ্রহণ করে।",
  "மனிதப் பிறிவியினர் சகலரும் சுதந்திரமாகவே பிறக்கின்றனர்.",
  "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ๑๒๓",
  "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း",
  "ყველა ადამიანი იბადება თავისუფალი და თანასწორი. ᲗᲑᲘᲚᲘᲡᲘ",
  "Բոլոր մարդիկ ծնվում են ազատ ու հավասար։",
  "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።",
  "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
  "人人生而自由，在尊嚴和權利上一律平等。臺灣、香港、「引號」與《書名》。",
  "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。ﾊﾝｶｸ カタカナー々〆",
  "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. ㅋㅋㅋ",
  "ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ། ༡༢༣",
  "Z̷̧̛͔a̶̢͝l̵̰͗g̸͙̈o̴̼͐ e\u0301e\u0302\u0323 A\u030A n\u0303 \u1E9B\u0323 ﬁ ﬂ Ǆ ǅ ǆ ℵ ª º ʰ ⅷ Ⅷ ½ ² ₃ ④",
];

const CODE = [
  "fn main() {\n    let x: Vec<u8> = (0..10).map(|n| n * 2).collect();\n    println!(\"{x:?}\");\n}\n",
  "def f(a, *args, **kw):\n\t\"\"\"Doc.\"\"\"\n\treturn {k: v for k, v in kw.items() if v is not None}\n\n\n",
  "#include <stdio.h>\r\nint main(void)\r\n{\r\n\tfor (int i = 0; i < 0xFF; ++i) printf(\"%d\\n\", i);\r\n}\r\n",
  "const HTTPServer = await import('node:http'); // TODO\nexport default class XMLHttpRequest2 extends A {}\n",
  "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\\n\"}],\"stream\":true,\"n\":1}\n",
  "SELECT u.id, COUNT(*) FROM users u LEFT JOIN t ON t.uid=u.id WHERE u.name LIKE '%O''Brien%' GROUP BY 1;\n",
  "<div class=\"a b\" id='c'><!-- x --><p>&nbsp;Hello</p></div>\n\n\n    <br/>\n",
  "| a | b |\n|---|---|\n| 1 | 2 |\n\n```sh\n$ rm -rf ./* && echo \"done\" >> /dev/null 2>&1\n```\n",
  "https://example.com/a/b?c=d&e=%20f#g //// ////\n///\r\n/* x */ a//b\n// c\n/",
  "\\begin{equation} \\sum_{i=0}^{\\infty} \\frac{1}{2^i} = 2 \\end{equation} ∀x∈ℝ: x²≥0 ⇒ √x ≠ ∅\n",
  "----------\n==========\n**********\n__________\n##########\n!!!!!!!!!!??????....,,,,;;;;\n",
  "<|endoftext|><|im_start|>user<|im_sep|>hi<|im_end|><|fim_prefix|><|endofprompt|>",
  "YWxsIHlvdXIgYmFzZTY0IGFyZSBiZWxvbmcgdG8gdXM=0123456789abcdefABCDEF==deadbeefDEADBEEF/+/+",
];

const EMOJI = ["😀", "🏽", "👩‍👩‍👧‍👦", "👩🏿‍🚀", "🏳️‍🌈", "🇩🇪", "🇺🇳", "❤️", "☺", "1️⃣", "🤷🏻‍♀️", "✈️", "🫠", "\u{1F469}\u200D", "\uFE0F", "\u{E0067}", "🧑‍💻"];
const BLANKS = [" ", " ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", "\u00A0", "\u2003", "\u3000", "\u2028", "\u202F", "\v", "\f", "\n\n\n\n", "        ", " \n", "\n ", " \t\n \t", "\r\n\r\n    "];
const NUMBERS = ["0", "12", "345", "6789", "3.14159265358979", "1,000,000", "-273.15", "1e-9", "0x1F", "٣٤٥٦", "१२३४", "２０２４", "½", "Ⅻ", "²³", "1234567890123", "2024-06-14T12:30:00Z", "+1 (555) 010-9999", "99%", "$5"];
const CONTRACTIONS = ["'s", "'S", "'t", "'T", "'re", "'rE", "'Re", "'RE", "'ve", "'VE", "'Ve", "'m", "'M", "'ll", "'lL", "'LL", "'d", "'D", "’s", "''s", "'l", "'r", "'v", "'x", "'", "'sa", "'red", " 's"];
const WORDS = ["the", "The", "THE", "iPhone", "McDonald", "HTTPServer", "getURLFor", "snake_case", "kebab-case", "CamelCaseWord", "antidisestablishmentarianism", "Pneumonoultramicroscopicsilicovolcanoconiosis", "don", "I", "we", "Ünïcödé", "naïve", "ΑΒΓδ", "ДОМдом", "中A", "A中B", "ǅx", "ʰa", "xʰY", "éÉe\u0301", "\u0301A", "日本語", "한국", "שלום", "سلام"];

const LEFT_OUT = /[\u0085\uFEFF\u017F\p{Cn}\p{Co}\p{Cs}]/u;
const named = (script) => {
  try {
    return new RegExp(`\\p{Script=${script}}`, "u");
  } catch {
    return null; // Newer than this node.
  }
};
const known = SCRIPTS.map((script) => [script, named(script)]).filter(([, pattern]) => pattern);
const members = new Map(known.map(([script]) => [script, []]));
for (let code = 0; code < 0x110000; code++) {
  const character = String.fromCodePoint(code);
  const home = !LEFT_OUT.test(character) && known.find(([, pattern]) => pattern.test(character));
  if (home) members.get(home[0]).push(character);
}

const texts = new Set(["", " ", "\n", "a", "'", " '", "'s", " a", "  a", "\n a", "a \n ", "\u0301", "中", "🙂"]);
const fill = (count, make) => {
  for (const goal = texts.size + count; texts.size < goal; ) texts.add(make());
};

SENTENCES.forEach((text) => [text, text.toUpperCase(), text.toLowerCase(), text.normalize("NFD"), text.replaceAll(" ", "")].forEach((t) => texts.add(t)));
CODE.forEach((text) => [text, text.repeat(3), text.replaceAll("\n", "\r\n"), text.replaceAll(" ", "  ")].forEach((t) => texts.add(t)));
// Every script: words of its characters.
for (const characters of members.values()) {
  if (characters.length > 0) fill(Math.min(4, characters.length), () => some(1, 6, () => some(1, 7, () => one(characters)).join("")).join(" "));
}
// One kind of thing in a row, and all kinds mixed.
fill(120, () => some(1, 12, () => one(EMOJI)).join(one(["", "", " "])));
fill(200, () => some(1, 6, () => one(BLANKS)).join(one(["", "", "x", "1", ".", "é", "\u0301"])));
fill(120, () => some(1, 6, () => one(NUMBERS)).join(one(["", " ", ", ", "\n"])));
fill(200, () => some(1, 6, () => one(WORDS) + one(CONTRACTIONS)).join(one(["", " ", " ", "\n"])));
fill(150, () => one(SENTENCES).slice(below(20)) + one(BLANKS) + one(CODE).slice(0, 10 + below(60)) + one(BLANKS) + one(SENTENCES).slice(0, 30));
fill(450, () => some(2, 25, () => one(one([WORDS, WORDS, BLANKS, NUMBERS, CONTRACTIONS, EMOJI]))).join(""));
fill(250, () => some(1, 30, () => one(members.get(one([...members.keys()])) ?? ["?"])).join(""));
// Long words, and long runs of one thing.
const letters = [..."abcdefghijklmnopqrstuvwxyzETAOIN"];
fill(60, () => some(20, 400, () => one(letters)).join(""));
fill(40, () => some(5, 120, () => one([..."的一是不了人我在有他这中大来上国网关令牌"])).join(""));
["a", "A", " ", "\n", "\t", "\r\n", "1", ".", "'", "/", "🙂", "中", "\u0301", "\u200D", "ab", "A中", " \n", "é"].forEach((part) => [2, 3, 7, 16, 33, 81, 129, 300, 1000].forEach((times) => texts.add(part.repeat(times))));
["a", " ", "\n", "中", "🙂", "ab"].forEach((part) => texts.add(part.repeat(2500)));

for (const text of [...texts].map((text) => text.toWellFormed())) {
  if (/'\u017F/u.test(text)) continue;
  // No special tokens: their text is ordinary.
  const counts = [cl100k, o200k].map((encoding) => encoding.encode(text, [], []).length);
  console.log(JSON.stringify([text, ...counts]));
}
