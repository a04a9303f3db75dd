// Shows `page` in a frame of each of `widths`, measures it, and writes what is wrong between two marks.
const same = 0.75; // Pixels that do not count.
const inside = (a, b) => a.left >= b.left - same && a.right <= b.right + same &&
  a.top >= b.top - same && a.bottom <= b.bottom + same;
const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > same &&
  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > same;

// The box of the letters, without the room that a line leaves above and below them.
function box(text) {
  const r = text.getBoundingClientRect(), upright = r.height > r.width && text.textContent.length > 2;
  const [x, y] = upright ? [0.18 * r.width, 0] : [0, 0.18 * r.height];
  return { left: r.left + x, right: r.right - x, top: r.top + y, bottom: r.bottom - y };
}

function picture(svg, width, problems) {
  const frame = svg.getBoundingClientRect(), name = svg.getAttribute('aria-label') || 'a picture';
  if (!(frame.width > 100 && frame.height > 50)) problems.push(`${name} has no size`);
  if (frame.left < -same || frame.right > width + same) problems.push(`${name} is wider than the screen`);
  const texts = [...svg.querySelectorAll('text')].map(text => [text.textContent, box(text), text]);
  for (const [said, at, text] of texts) {
    if (!inside(at, frame)) problems.push(`${said} is cut in ${name}`);
    const size = parseFloat(getComputedStyle(text).fontSize) * frame.width / svg.viewBox.baseVal.width;
    if (size < 8.5) problems.push(`${said} is too small in ${name}: ${size} pixels`);
  }
  texts.forEach(([said, at], i) => texts.slice(i + 1).forEach(([other, there]) => {
    if (overlap(at, there)) problems.push(`${said} and ${other} overlap in ${name}`);
  }));
}

// Text that its own element cuts; tables that scroll and plans that are shortened mean to.
function cutText(document, problems) {
  for (const element of document.body.querySelectorAll('*:not(svg, svg *, .scroll, .plan)')) {
    const style = getComputedStyle(element);
    const hides = style.overflowX === 'hidden' || style.overflowX === 'clip';
    if (hides && element.scrollWidth > element.clientWidth + 1) problems.push(`${element.textContent} is cut`);
  }
}

function measure(frame, width) {
  const document = frame.contentDocument, window = frame.contentWindow, problems = [];
  const wide = () => document.documentElement.scrollWidth > width && problems.push('the page is wider than the screen');
  if (window.innerWidth !== width) problems.push(`the screen is ${window.innerWidth} wide`);
  wide();
  document.querySelectorAll('details').forEach(details => { details.open = true; });
  wide();
  const pictures = [...document.querySelectorAll('svg')];
  pictures.forEach(svg => picture(svg, width, problems));
  cutText(document, problems);
  if (typeof alsoCheck === 'function') alsoCheck(document, window, problems);
  window.performance.getEntriesByType('resource').forEach(entry => problems.push(`a request for ${entry.name}`));
  const figures = [...document.querySelectorAll('section.figure')].map(section => section.id);
  return { width, figures, pictures: pictures.length, problems: problems.slice(0, 40) };
}

Promise.all(widths.map(width => new Promise(resolve => {
  const frame = document.createElement('iframe');
  frame.style.cssText = `width:${width}px;height:1000px;border:0`;
  frame.onload = () => resolve([frame, width]);
  frame.srcdoc = page;
  document.body.append(frame);
}))).then(frames => {
  const verdict = JSON.stringify(frames.map(([frame, width]) => measure(frame, width)));
  frames.forEach(([frame]) => frame.remove());
  document.querySelector('script').remove();
  document.body.textContent = mark + verdict + mark;
});
