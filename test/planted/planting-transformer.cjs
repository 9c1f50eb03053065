const { createHash } = require('node:crypto');
const swc = require('@swc/jest');

/**
 * Compiles as every test run does, with one planted line: SLUICE_PLANTED holds the bug as JSON. The sources stay as they
 * are; the cache of compiled files tells planted and sound ones apart.
 */
function createTransformer(options) {
  const inner = swc.createTransformer(options);
  const bug = JSON.parse(process.env.SLUICE_PLANTED ?? 'null');
  const planted = (source, path) => {
    if (bug === null || !path.endsWith(`/${bug.file}`)) return source;
    if (source.split(bug.find).length !== 2) throw new Error(`not exactly once in ${bug.file}: ${bug.find}`);
    return source.replace(bug.find, () => bug.put);
  };
  return {
    ...inner,
    process: (source, path, jest) => inner.process(planted(source, path), path, jest),
    processAsync: (source, path, jest) => inner.processAsync(planted(source, path), path, jest),
    getCacheKey: (source, path, ...rest) =>
      createHash('sha256')
        .update(inner.getCacheKey(source, path, ...rest))
        .update(planted(source, path))
        .digest('hex'),
  };
}

module.exports = { createTransformer };
