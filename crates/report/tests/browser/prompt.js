// What a reader does on the page of a prompt: keys, another number of the lenses, one head after the other.
function contrast(window, cell) {
  const light = colour => {
    const channels = colour.match(/[\d.]+/g).slice(0, 3).map(value => value / 255);
    const [r, g, b] = channels.map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const { color, backgroundColor } = window.getComputedStyle(cell);
  const [a, b] = [light(color), light(backgroundColor)];
  return Math.max(a, b) / Math.min(a, b);
}

function alsoCheck(document, window, problems) {
  const isTrue = (is, what) => { if (!is) problems.push(what); };
  const dark = window.matchMedia('(prefers-color-scheme: dark)').matches;
  isTrue(dark === wantsDark, `the page is ${dark ? 'dark' : 'light'}`);
  const coloured = [...document.querySelectorAll('td')].filter(cell => /^[sqv]\d/.test(cell.className));
  isTrue(coloured.length > 50, 'cells have no colours');
  coloured.filter((_, at) => at % 17 === 0).forEach(cell => {
    isTrue(contrast(window, cell) >= 4.5, `${cell.className} is hard to read: ${contrast(window, cell)}`);
  });
  isTrue(contrast(window, document.getElementById('detail')) >= 4.5, 'the bar is hard to read');
  if (withoutScript) {
    isTrue(document.querySelectorAll('#head, #measure').length === 2, 'the page has no parts for its script');
    document.querySelectorAll('#head, #measure, .scripted, .keyboard').forEach(it => isTrue(it.hidden, `${it.id} is shown`));
    return;
  }
  keys(document, window, isTrue);
  numbers(document, window, isTrue);
  heads(document, window, isTrue);
}

function press(document, window, key) {
  document.activeElement.dispatchEvent(new window.KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
}

function keys(document, window, isTrue) {
  const detail = document.getElementById('detail'), table = document.querySelector('#lenses table');
  const at = () => [document.activeElement.parentElement.rowIndex - 1, document.activeElement.cellIndex - 1].join();
  table.querySelector('td[tabindex="0"]').focus();
  isTrue(at() === '0,0' && detail.textContent.startsWith('before layer 0, '), `no cell has the focus: ${detail.textContent}`);
  ['ArrowDown', 'ArrowRight', 'ArrowRight', 'ArrowLeft'].forEach(key => press(document, window, key));
  isTrue(at() === '1,1' && detail.textContent.startsWith('before layer 1, '), `keys lead to ${at()}: ${detail.textContent}`);
  isTrue(/ bits, KL .* rank \d+/.test(detail.textContent), `the bar lacks numbers: ${detail.textContent}`);
  press(document, window, 'End');
  const columns = table.tHead.rows[0].cells.length - 2;
  isTrue(at() === `1,${columns}`, `End leads to ${at()}`);
  for (let row = 0; row < 100; row++) press(document, window, 'PageDown');
  isTrue(detail.textContent.startsWith('output, '), `the last row is not reached: ${detail.textContent}`);
  isTrue(table.querySelectorAll('td[tabindex="0"]').length === 1, 'several cells of a table can be reached by Tab');
}

function numbers(document, window, isTrue) {
  const select = document.getElementById('measure');
  const classes = () => [...document.querySelectorAll('#lenses td[title]')].map(cell => cell.className).join();
  const seen = new Set([classes()]);
  for (let option = 1; option < select.options.length; option++) {
    select.selectedIndex = option;
    select.dispatchEvent(new window.Event('change'));
    seen.add(classes());
  }
  isTrue(seen.size === select.options.length, `${seen.size} colourings of ${select.options.length} numbers`);
  const last = [...document.querySelector('#lenses tbody').lastElementChild.cells].slice(1);
  select.selectedIndex = 2;
  select.dispatchEvent(new window.Event('change'));
  isTrue(last.every(cell => cell.className.startsWith('s5')), 'the output is not nearest to itself');
  select.selectedIndex = 0;
  select.dispatchEvent(new window.Event('change'));
  isTrue(seen.has(classes()), 'the first colours do not come back');
}

function heads(document, window, isTrue) {
  const view = document.getElementById('head'), canvas = view.querySelector('canvas');
  const picture = () => canvas.toDataURL();
  const title = () => view.querySelector('h3').textContent;
  const cells = [...document.querySelectorAll('#attention td[data-p]')];
  isTrue(!view.hidden && canvas.width > 1 && canvas.getBoundingClientRect().width > 150, 'no head is drawn');
  cells[0].click();
  const first = picture();
  isTrue(title() === 'Layer 0, head 0', `${title()} is shown`);
  cells[cells.length - 1].click();
  isTrue(title() !== 'Layer 0, head 0' && picture() !== first, 'the picture stays that of the first head');
  const buttons = [...view.querySelectorAll('button')];
  buttons[buttons.length - 1].focus();
  press(document, window, 'ArrowLeft');
  const at = buttons.indexOf(document.activeElement);
  isTrue(at === buttons.length - 2 && buttons[at].getAttribute('aria-pressed') === 'true', `the query is ${at}`);
  const sum = buttons.reduce((sum, button) => sum + Number((/: ([\d.]+) of/.exec(button.title) || [0, 0])[1]), 0);
  isTrue(Math.abs(sum - 1) < 0.15, `attention from a query adds up to ${sum}`);
}
