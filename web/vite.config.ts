import { defineConfig } from 'vite';

// Fixed names: the binary embeds these files and serves them with entity tags.
export default defineConfig({
  esbuild: { jsx: 'automatic', jsxImportSource: 'preact' },
  build: {
    target: 'es2022',
    assetsDir: '',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      output: { entryFileNames: 'app.js', assetFileNames: 'style.[ext]', inlineDynamicImports: true },
    },
  },
});
